//! What both ends compute: the commitment, the proof of the code, the number, the key that seals the credential.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};
use ring::agreement::{EphemeralPrivateKey, UnparsedPublicKey, X25519, agree_ephemeral};
use ring::digest::{SHA256, digest};
use ring::hkdf::{HKDF_SHA256, Salt};
use ring::hmac;
use ring::rand::SystemRandom;
use serde::{Deserialize, Serialize};

use super::Code;

/// Stands before everything that is hashed.
const CONTEXT: &str = "strandwatch enrolment 1";

/// The newcomer's first message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hello {
    /// The name that it wants.
    pub name: String,
    /// SHA-256 of its key.
    pub commitment: String,
    /// HMAC-SHA256 by the code over all of this.
    pub proof: String,
}

/// An X25519 key pair for one enrolment.
pub struct Pair {
    private: EphemeralPrivateKey,
    public: Vec<u8>,
}

/// What both ends have when each has the other's key.
pub struct Agreed {
    /// Four digits, for people to compare.
    pub number: String,
    key: [u8; 32],
}

pub(super) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

pub(super) fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |c: u8| char::from(c).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pair = |pair: &[u8]| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?);
    text.as_bytes().chunks(2).map(pair).collect()
}

/// Joins parts so that no two lists give the same bytes.
fn joined(parts: &[&[u8]]) -> Vec<u8> {
    let mut all = CONTEXT.as_bytes().to_vec();
    for part in parts {
        all.extend((part.len() as u64).to_be_bytes());
        all.extend_from_slice(part);
    }
    all
}

fn code_key(code: &Code) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, code.bytes())
}

fn hello_bytes(base: &str, label: &str, name: &str, commitment: &str) -> Vec<u8> {
    joined(&[b"hello", base.as_bytes(), label.as_bytes(), name.as_bytes(), commitment.as_bytes()])
}

impl Hello {
    /// A newcomer's hello.
    pub fn new(code: &Code, base: &str, name: &str, pair: &Pair) -> Self {
        let commitment = hex(digest(&SHA256, &pair.public).as_ref());
        let said = hello_bytes(base, &code.label(), name, &commitment);
        let proof = hex(hmac::sign(&code_key(code), &said).as_ref());
        Self { name: name.to_owned(), commitment, proof }
    }

    /// Whether its sender knows the code; takes as long for any wrong proof.
    pub(super) fn is_proven(&self, code: &Code, base: &str) -> bool {
        let said = hello_bytes(base, &code.label(), &self.name, &self.commitment);
        unhex(&self.proof).is_some_and(|proof| hmac::verify(&code_key(code), &said, &proof).is_ok())
    }

    /// Whether this is the key that it is bound to.
    pub(super) fn binds(&self, key: &[u8]) -> bool {
        unhex(&self.commitment).is_some_and(|bound| digest(&SHA256, key).as_ref() == bound)
    }
}

impl Pair {
    /// A fresh one; `None` when the system gives no random bytes.
    pub fn fresh() -> Option<Self> {
        let private = EphemeralPrivateKey::generate(&X25519, &SystemRandom::new()).ok()?;
        let public = private.compute_public_key().ok()?.as_ref().to_vec();
        Some(Self { private, public })
    }

    /// The public key, hexadecimal.
    pub fn public(&self) -> String {
        hex(&self.public)
    }

    pub(super) fn public_bytes(&self) -> &[u8] {
        &self.public
    }

    /// Agrees with the other end's key; `newcomer` and `daemon` are the public keys of both. `None` for a bad key.
    pub fn agree(
        self,
        code: &Code,
        base: &str,
        name: &str,
        (newcomer, daemon): (&[u8], &[u8]),
    ) -> Option<Agreed> {
        let theirs = if self.public == newcomer { daemon } else { newcomer };
        let label = code.label();
        let said = joined(&[
            b"agreed",
            base.as_bytes(),
            label.as_bytes(),
            name.as_bytes(),
            newcomer,
            daemon,
        ]);
        let tag = hmac::sign(&code_key(code), &joined(&[b"number", &said]));
        let first = tag.as_ref().first_chunk::<8>()?;
        let number = format!("{:04}", u64::from_be_bytes(*first) % 10_000);
        let theirs = UnparsedPublicKey::new(&X25519, theirs);
        let mut key = [0; 32];
        agree_ephemeral(self.private, &theirs, |shared| {
            let extracted = Salt::new(HKDF_SHA256, code.bytes()).extract(shared);
            let info = [said.as_slice()];
            let expanded = extracted.expand(&info, &AES_256_GCM);
            expanded.and_then(|okm| okm_into(okm, &mut key))
        })
        .ok()?
        .ok()?;
        Some(Agreed { number, key })
    }
}

fn okm_into(
    okm: ring::hkdf::Okm<'_, &'static ring::aead::Algorithm>,
    key: &mut [u8; 32],
) -> Result<(), ring::error::Unspecified> {
    okm.fill(key)
}

impl Agreed {
    fn sealing(&self) -> Option<LessSafeKey> {
        UnboundKey::new(&AES_256_GCM, &self.key).ok().map(LessSafeKey::new)
    }

    /// Seals the one message that this key is for.
    pub fn seal(&self, text: &str) -> Option<String> {
        let mut bytes = text.as_bytes().to_vec();
        // One message a key: the nonce need not vary.
        let nonce = Nonce::assume_unique_for_key([0; 12]);
        self.sealing()?.seal_in_place_append_tag(nonce, Aad::empty(), &mut bytes).ok()?;
        Some(STANDARD.encode(bytes))
    }
}

/// Opens what [`Agreed::seal`] sealed; `None` when it was not, by this key.
pub fn open(agreed: &Agreed, sealed: &str) -> Option<String> {
    let mut bytes = STANDARD.decode(sealed).ok()?;
    let nonce = Nonce::assume_unique_for_key([0; 12]);
    let opened = agreed.sealing()?.open_in_place(nonce, Aad::empty(), &mut bytes).ok()?;
    String::from_utf8(opened.to_vec()).ok()
}

/// The bytes of a key that the other end sent.
pub fn key_bytes(text: &str) -> Option<Vec<u8>> {
    unhex(text).filter(|key| key.len() == 32)
}
