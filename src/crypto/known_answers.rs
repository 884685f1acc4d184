//! Known answers of every primitive, from the documents that define them: a processor, a compiler or an emulator that
//! computes wrongly is found before it seals anything.

use aes_gcm::Aes256Gcm;
use argon2::{Algorithm, Argon2, AssociatedData, ParamsBuilder, Version};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use chacha20poly1305::{AeadInOut, KeyInit, XChaCha20Poly1305};
use data_encoding::HEXLOWER;
use hkdf::Hkdf;
use hmac::{Hmac, Mac};
use ring::{
    rand::SystemRandom,
    rsa::{KeyPairComponents, PublicKeyComponents},
    signature::{RSA_PKCS1_SHA256, RsaKeyPair},
};
use sha2::Sha256;

use super::{digest, random, sign};

/// A computation whose result is published.
pub struct KnownAnswer {
    /// The primitive.
    pub name: &'static str,
    /// The document and its test.
    pub source: &'static str,
    /// Returns the bytes; `None` if the primitive refuses, or accepts what it must not.
    compute: fn() -> Option<Vec<u8>>,
    /// The published bytes, in hex.
    expected: &'static str,
}

impl KnownAnswer {
    /// Computes the answer and compares it.
    pub fn holds(&self) -> bool {
        (self.compute)().is_some_and(|bytes| HEXLOWER.encode(&bytes) == self.expected)
    }
}

/// Every primitive that a vault relies on.
pub const KNOWN_ANSWERS: &[KnownAnswer] = &[
    KnownAnswer {
        name: "SHA-256",
        source: "FIPS 180-4, \"abc\"",
        compute: || Some(digest::sha256(b"abc").to_vec()),
        expected: "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
    },
    KnownAnswer {
        name: "HMAC-SHA-256",
        source: "RFC 4231, test case 2",
        compute: hmac_sha256,
        expected: "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
    },
    KnownAnswer {
        name: "HKDF-SHA-256",
        source: "RFC 5869, test case 1",
        compute: hkdf_sha256,
        expected: "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
    },
    KnownAnswer {
        name: "AES-256-GCM",
        source: "The Galois/Counter Mode of Operation, test case 16",
        compute: aes_256_gcm,
        expected: "522dc1f099567d07f47f37a32a84427d643a8cdcbfe5c0c97598a2bd2555d1aa8cb08e48590dbb3da7b08b1056828838\
                   c5f61e6393ba7a0abcc9f66276fc6ece0f4e1768cddf8853bb2d551b",
    },
    KnownAnswer {
        name: "XChaCha20-Poly1305",
        source: "draft-irtf-cfrg-xchacha-03, A.3.1",
        compute: xchacha20_poly1305,
        expected: "bd6d179d3e83d43b9576579493c0e939572a1700252bfaccbed2902c21396cbb731c7f1b0b4aa6440bf3a82f4eda7e39\
                   ae64c6708c54c216cb96b72e1213b4522f8c9ba40db5d945b11b69b982c1bb9e3f3fac2bc369488f76b2383565d3fff9\
                   21f9664c97637da9768812f615c68b13b52ec0875924c1c7987947deafd8780acf49",
    },
    KnownAnswer {
        name: "argon2id",
        source: "RFC 9106, section 5.3",
        compute: argon2id,
        expected: "0d640df58d78766c08c037a34a8b53c9d01ef0452d75b65eb52520e96b01e659",
    },
    KnownAnswer {
        name: "Ed25519",
        source: "RFC 8032, section 7.1, test 2",
        compute: ed25519,
        expected: "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c\
                   387b2eaeb4302aeeb00d291612bb0c00",
    },
    KnownAnswer {
        name: "RS256",
        source: "RFC 7515, appendix A.2",
        compute: rs256,
        expected: "702e218943e88fd11eb5d82dbf7845f34106ae1b81fff7731116add1717d83656d420afd3c96eedd73a2663e5166687b\
                   000b87226e0187ed1073f945e582adfcef16d85a798ee8c66ddb3db8975b17d09402beedd5d9d97007108db28160d5f8\
                   040ca7445762b81fbe7ff9d92e0ae76f24f25b33bbe6f44ae61eb1040acb20044d3ef9128ed40130795bd4bd3b41eeca\
                   d066ab651981fde48df77f372dc38b9fafdd3befb18b5da3cc3c2eb02f9e3a41d612caad15911273a05f23b9e838faaf\
                   849d698429ef5a1e88798236c3d40e604522a544c8f27a7a2db80663d16cf7caea56de405cb2215a45b2c25566b55ac1\
                   a748a070dfc8a32a469543d019eefb47",
    },
];

/// Returns whether the system's random source gives two different values, neither of them zeros.
pub fn random_source_works() -> bool {
    let drawn = (random::bytes::<32>(), random::bytes::<32>());
    matches!(drawn, (Ok(one), Ok(other)) if one != other && one != [0; 32] && other != [0; 32])
}

fn hmac_sha256() -> Option<Vec<u8>> {
    let mut mac = <Hmac<Sha256> as KeyInit>::new_from_slice(b"Jefe").ok()?;
    mac.update(b"what do ya want for nothing?");
    Some(mac.finalize().into_bytes().to_vec())
}

fn hkdf_sha256() -> Option<Vec<u8>> {
    let salt = counting::<13>(0);
    let mut out = vec![0; 42];
    Hkdf::<Sha256>::new(Some(&salt), &[0x0b; 22]).expand(&counting::<10>(0xf0), &mut out).ok()?;
    Some(out)
}

fn aes_256_gcm() -> Option<Vec<u8>> {
    let key = hex("feffe9928665731c6d6a8f9467308308feffe9928665731c6d6a8f9467308308")?;
    let plain = hex("d9313225f88406e5a55909c5aff5269a86a7a9531534f7da2e4c303d8a318a72\
                     1c3c0c95956809532fcf0e2449a6b525b16aedf5aa0de657ba637b39")?;
    let associated = hex("feedfacedeadbeeffeedfacedeadbeefabaddad2")?;
    let nonce: [u8; 12] = hex("cafebabefacedbaddecaf888")?.try_into().ok()?;
    sealed(&Aes256Gcm::new_from_slice(&key).ok()?, &nonce.into(), &associated, &plain)
}

fn xchacha20_poly1305() -> Option<Vec<u8>> {
    let plain =
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for the future, \
                  sunscreen would be it.";
    let cipher = XChaCha20Poly1305::new(&counting::<32>(0x80).into());
    sealed(&cipher, &counting::<24>(0x40).into(), &hex("50515253c0c1c2c3c4c5c6c7")?, plain)
}

/// Returns ciphertext and tag, if they open again and do not once a bit of the tag is flipped.
fn sealed<A: AeadInOut>(
    cipher: &A,
    nonce: &chacha20poly1305::aead::Nonce<A>,
    associated: &[u8],
    plain: &[u8],
) -> Option<Vec<u8>> {
    let mut text = plain.to_vec();
    let tag = cipher.encrypt_inout_detached(nonce, associated, text.as_mut_slice().into()).ok()?;
    let sealed = [&text, tag.as_slice()].concat();
    let mut flipped = tag.clone();
    flipped[0] ^= 1;
    let mut forged = text.clone();
    let is_forged =
        cipher.decrypt_inout_detached(nonce, associated, forged.as_mut_slice().into(), &flipped).is_ok();
    cipher.decrypt_inout_detached(nonce, associated, text.as_mut_slice().into(), &tag).ok()?;
    (text == plain && !is_forged).then_some(sealed)
}

fn argon2id() -> Option<Vec<u8>> {
    let mut params = ParamsBuilder::new();
    params.m_cost(32).t_cost(3).p_cost(4).output_len(32).data(AssociatedData::new(&[4; 12]).ok()?);
    let argon2 =
        Argon2::new_with_secret(&[3; 8], Algorithm::Argon2id, Version::V0x13, params.build().ok()?).ok()?;
    let mut out = vec![0; 32];
    argon2.hash_password_into(&[1; 32], &[2; 16], &mut out).ok()?;
    Some(out)
}

fn ed25519() -> Option<Vec<u8>> {
    let private = hex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")?;
    let key = sign::LogKey::new(&private.try_into().ok()?);
    let signature = key.sign(&[0x72]);
    let holds = sign::verify(&key.public(), &[0x72], &signature);
    let is_forged = sign::verify(&key.public(), &[0x73], &signature);
    (holds && !is_forged).then(|| signature.to_vec())
}

/// Signs with the key of RFC 7515, appendix A.2.1.
fn rs256() -> Option<Vec<u8>> {
    let n = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-\
             yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-\
             KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_\
             h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
    let d = "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46\
             sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanr\
             C4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOne\
             ufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ";
    let p = "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNP\
             Y8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc";
    let q = "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD6\
             6t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc";
    let dp = "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJe\
              DCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0";
    let dq = "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NK\
              JnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU";
    let qi = "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87\
              w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U";
    let message = "eyJhbGciOiJSUzI1NiJ9.eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFtcGxlLmNv\
                   bS9pc19yb290Ijp0cnVlfQ";
    let number = |text: &str| URL_SAFE_NO_PAD.decode(text).ok();
    let key = RsaKeyPair::from_components(&KeyPairComponents {
        public_key: PublicKeyComponents { n: number(n)?, e: number("AQAB")? },
        d: number(d)?,
        p: number(p)?,
        q: number(q)?,
        dP: number(dp)?,
        dQ: number(dq)?,
        qInv: number(qi)?,
    })
    .ok()?;
    let mut signature = vec![0; key.public().modulus_len()];
    key.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), message.as_bytes(), &mut signature).ok()?;
    Some(signature)
}

fn hex(text: &str) -> Option<Vec<u8>> {
    HEXLOWER.decode(text.as_bytes()).ok()
}

/// Returns consecutive bytes.
fn counting<const N: usize>(from: u8) -> [u8; N] {
    let mut next = from;
    [(); N].map(|()| {
        let byte = next;
        next = next.wrapping_add(1);
        byte
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_primitive_gives_its_known_answer_and_no_other() {
        for answer in KNOWN_ANSWERS {
            assert!(answer.holds(), "{}: {}", answer.name, answer.source);
            let wrong = KnownAnswer { expected: "00", ..*answer };
            assert!(!wrong.holds(), "{}", answer.name);
            let refused = KnownAnswer { compute: || None, ..*answer };
            assert!(!refused.holds(), "{}", answer.name);
        }
        assert!(random_source_works());
    }
}
