//! An authenticator: RFC 4226 and RFC 6238 once more, on another HMAC than the server's.

use ring::hmac;

use sealroom::domain::Timestamp;

/// Returns the code that an authenticator shows at that time for a secret in base32.
pub fn code(secret: &str, now: Timestamp) -> String {
    let secret = data_encoding::BASE32_NOPAD.decode(secret.as_bytes()).unwrap();
    let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &secret);
    let tag = hmac::sign(&key, &(now.millis() / 30_000).to_be_bytes());
    let bytes = tag.as_ref();
    let at = usize::from(bytes[19] & 0xf);
    let number = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    format!("{:06}", number % 1_000_000)
}

/// Returns a code that is not the one of any step near that time.
pub fn wrong_code(secret: &str, now: Timestamp) -> String {
    let near: Vec<String> = (0..5_u64)
        .map(|step| code(secret, Timestamp::from_millis(now.millis() + step * 30_000 - 60_000)))
        .collect();
    (0..6).map(|digit| digit.to_string().repeat(6)).find(|wrong| !near.contains(wrong)).unwrap()
}
