//! Examples: one invented organization, consistent across all operations.

use hyper::StatusCode;
use serde_json::{Value, json};

const ID: &str = "0192f5a4-7c1e-7b3a-9d52-3f1c8e6a4b70";
const REQUEST_ID: &str = "0192f5a4-9e07-7d41-8a66-5b2d9c7e1f08";
pub(super) const TOKEN_ID: &str = "0192f5a4-8d2f-7c19-b1e4-6a7f3d5c2e91";
const CREATED: &str = "2026-11-24T10:00:00.000Z";
const LATER: &str = "2026-12-24T10:00:00.000Z";
const ADA: &str = "ada@example.com";
const PROJECT: &str = "acme/app";
const HASH: &str = "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=";

pub(super) fn error(status: u16, code: &str, meaning: &str) -> Value {
    let reason = StatusCode::from_u16(status).ok().and_then(|status| status.canonical_reason());
    json!({
        "statusCode": status, "error": reason, "code": code, "message": meaning, "requestId": REQUEST_ID,
    })
}

pub(super) fn health(healthy: bool) -> Value {
    json!({
        "status": if healthy { "healthy" } else { "unhealthy" },
        "version": env!("CARGO_PKG_VERSION"),
        "locked": !healthy,
        "audit": if healthy { "writable" } else { "locked" },
        "uptimeSeconds": 86_400,
    })
}

pub(super) fn login_request() -> Value {
    json!({ "email": ADA, "password": "password-example" })
}

pub(super) fn refresh_request() -> Value {
    json!({ "refresh_token": "sfp_ref_example" })
}

pub(super) fn login() -> Value {
    json!({
        "success": true,
        "access_token": "sfp_usr_example",
        "refresh_token": "sfp_ref_example",
        "expires_in": 3600,
        "user": { "id": ID, "email": ADA, "role": "owner" },
    })
}

pub(super) fn user() -> Value {
    json!({
        "id": ID, "email": "grace@example.com", "firstName": "Grace", "lastName": null, "role": "member",
        "projects": [PROJECT], "disabled": false, "createdAt": CREATED, "lastLoginAt": null,
    })
}

pub(super) fn created_user() -> Value {
    let mut user = user();
    user["initialPassword"] = "abcde-fghjk-mnpqr-stvwx-yz012".into();
    user
}

pub(super) fn create_user() -> Value {
    json!({ "email": "grace@example.com", "role": "member", "firstName": "Grace" })
}

pub(super) fn update_user() -> Value {
    json!({ "firstName": "Grace", "lastName": null })
}

pub(super) fn begun_otp() -> Value {
    json!({
        "secret": "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ",
        "uri": "otpauth://totp/sealroom:ada%40example%2Ecom?secret=GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ\
                &issuer=sealroom&algorithm=SHA1&digits=6&period=30",
    })
}

pub(super) fn own_otp() -> Value {
    json!({ "currentPassword": "password-example", "otp": "123456" })
}

pub(super) fn one_time_codes() -> Value {
    let codes: Vec<String> = (0..10).map(|number| format!("abcd{number}-fghjk")).collect();
    json!({ "codes": codes })
}

pub(super) fn removed_user() -> Value {
    json!({ "success": true, "email": "grace@example.com" })
}

pub(super) fn create_integration() -> Value {
    json!({
        "provider": "github", "authType": "pat", "credentials": { "token": "ghp_example" },
        "isGlobal": true, "name": "deploy key",
    })
}

pub(super) fn update_integration() -> Value {
    json!({ "name": "deploy key", "expiresAt": null })
}

pub(super) fn rotate_credentials() -> Value {
    json!({ "credentials": { "token": "ghp_example" } })
}

pub(super) fn integration() -> Value {
    json!({
        "id": ID, "provider": "github", "authType": "pat", "name": "deploy key", "isGlobal": false,
        "projects": [PROJECT], "config": {}, "expiresAt": null, "revision": 1, "createdAt": CREATED,
        "createdBy": format!("user:{ADA}"), "updatedAt": CREATED, "lastAccessedAt": null, "lastAccessedBy": null,
    })
}

pub(super) fn created_integration() -> Value {
    let mut integration = integration();
    integration["shadows"] = json!([TOKEN_ID]);
    integration
}

pub(super) fn disclosed() -> Value {
    json!([{
        "integration_id": ID, "provider": "github", "auth_type": "pat", "credentials": { "token": "ghp_example" },
    }])
}

pub(super) fn revisions() -> Value {
    json!({
        "integration": integration(),
        "revisions": [{ "revision": 1, "expiresAt": null, "credentials": { "token": "ghp_example" } }],
    })
}

pub(super) fn repository_token() -> Value {
    json!({
        "token": "ghs_example", "expiresAt": LATER, "type": "installation", "provider": "github", "scope": PROJECT,
    })
}

pub(super) fn removed_by_id() -> Value {
    json!({ "success": true, "id": ID })
}

pub(super) fn create_project() -> Value {
    json!({ "identifier": PROJECT, "remoteUrl": "https://github.com/acme/app.git" })
}

pub(super) fn project() -> Value {
    json!({
        "identifier": PROJECT, "remoteUrl": "https://github.com/acme/app.git", "platform": "github",
        "createdAt": CREATED, "updatedAt": CREATED, "version": 1, "configuration": {},
        "integrations": [{ "id": ID, "provider": "github", "authType": "pat", "created_at": CREATED }],
    })
}

pub(super) fn removed_project() -> Value {
    json!({ "success": true, "identifier": PROJECT })
}

pub(super) fn create_token() -> Value {
    json!({ "name": "ci", "expiresIn": 30, "role": "application" })
}

pub(super) fn created_token() -> Value {
    json!({
        "id": TOKEN_ID, "name": "ci", "role": "application", "token": "sfp_app_example",
        "createdAt": CREATED, "expiresAt": LATER,
    })
}

pub(super) fn token() -> Value {
    json!({
        "id": TOKEN_ID, "name": "ci", "role": "application", "projects": [PROJECT], "providers": null,
        "integrations": null, "createdBy": format!("user:{ADA}"), "createdAt": CREATED, "expiresAt": LATER, "lastUsedAt": null,
        "status": "active",
    })
}

pub(super) fn rolled_token() -> Value {
    let mut token = created_token();
    token["rolls"] = json!({ "id": ID, "expiresAt": LATER });
    token
}

pub(super) fn due() -> Value {
    let credential = json!({
        "id": ID, "provider": "github", "authType": "pat", "name": "deploy key", "isGlobal": false,
        "projects": [PROJECT], "expiresAt": LATER, "rotatedAt": CREATED, "lastAccessedAt": CREATED,
        "lastAccessedBy": format!("app:{TOKEN_ID}"),
    });
    json!({
        "time": CREATED, "withinDays": 30, "olderThanDays": 180, "tokensWithinDays": 7, "unusedDays": 90,
        "counts": { "ending": 1, "endedRead": 0, "notRotated": 0, "tokensEnding": 0, "tokensUnused": 0 },
        "ending": [credential], "endedRead": [], "notRotated": [], "tokensEnding": [], "tokensUnused": [],
    })
}

pub(super) fn event() -> Value {
    json!({
        "v": 1, "sequence": 41, "time": CREATED, "actor": format!("app:{TOKEN_ID}"), "action": "credentials.read",
        "outcome": "allowed", "integrationId": ID, "revision": 1, "provider": "github", "project": PROJECT,
        "requestId": REQUEST_ID, "peer": "127.0.0.1", "detail": {}, "leafHash": HASH,
    })
}

pub(super) fn exposure() -> Value {
    let received = json!({
        "count": 3, "firstSequence": 38, "first": CREATED, "lastSequence": 41, "last": CREATED, "peers": ["192.0.2.7"],
        "morePeers": false, "projects": [PROJECT], "moreProjects": false,
    });
    json!({
        "actor": format!("user:{ADA}"), "known": true, "nearest": null, "size": 43,
        "live": [{
            "actor": format!("user:{ADA}"), "integrationId": ID, "provider": "github", "name": "deploy key",
            "revision": 1, "expiresAt": null, "deletedAt": null, "received": received,
            "stored": { "sequence": 12, "time": CREATED, "action": "integration.create" },
        }],
        "deleted": [],
        "minted": [{
            "actor": format!("user:{ADA}"), "integrationId": ID, "hashedToken": HASH, "expiresAt": LATER,
            "received": received,
        }],
        "made": [{
            "actor": format!("app:{TOKEN_ID}"), "by": format!("user:{ADA}"), "sequence": 14, "time": CREATED,
            "name": "ci", "role": "application", "status": "active",
        }],
        "backups": { "count": 1, "sequence": 40, "last": CREATED },
        "left": { "live": 0, "deleted": 0, "minted": 0, "made": 0 },
    })
}

pub(super) fn checkpoint() -> String {
    format!("sealroom/{ID}\n42\n{HASH}\n\n— sealroom/{ID} SRl4YW1wbGU=\n")
}

pub(super) fn verifier_key() -> String {
    format!("sealroom/{ID}+5b2d9c7e+SRl4YW1wbGU=\n")
}

pub(super) fn witness_key() -> String {
    format!("sealroom/{ID}/witness+5b2d9c7e+BEV4YW1wbGU=\n")
}

pub(super) fn cosignature() -> String {
    format!("— sealroom/{ID}/witness SRl4YW1wbGU=\n")
}
