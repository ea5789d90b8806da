//! An authenticator in software: what a browser and a security key do together, with every part of
//! it to be turned by a test.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::rand::SystemRandom;
use ring::signature::{ECDSA_P256_SHA256_ASN1_SIGNING, EcdsaKeyPair, KeyPair as _};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// Present, verified, with a new key.
const MADE: u8 = 0b0100_0101;
/// Present, verified.
const SHOWN: u8 = 0b0000_0101;

/// An authenticator with one passkey.
pub struct Authenticator {
    key: EcdsaKeyPair,
    random: SystemRandom,
    /// Its name for the passkey.
    pub id: Vec<u8>,
    /// The person's name, as the server gave it.
    pub handle: Vec<u8>,
    /// How often it was used; 0 throughout: it does not count.
    pub counter: u32,
    /// Whether it verifies the person.
    pub verifies: bool,
    /// The page that asks.
    pub origin: String,
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// A text of bytes in CBOR.
fn bytes(out: &mut Vec<u8>, value: &[u8]) {
    out.extend([0x58, u8::try_from(value.len()).unwrap()]);
    out.extend(value);
}

impl Authenticator {
    /// A new one, for a page of this origin.
    ///
    /// # Panics
    /// There is no randomness.
    pub fn new(origin: &str) -> Self {
        let random = SystemRandom::new();
        let algorithm = &ECDSA_P256_SHA256_ASN1_SIGNING;
        let document = EcdsaKeyPair::generate_pkcs8(algorithm, &random).unwrap();
        let key = EcdsaKeyPair::from_pkcs8(algorithm, document.as_ref(), &random).unwrap();
        let id = Sha256::digest(key.public_key().as_ref()).to_vec();
        Self {
            key,
            random,
            id,
            handle: Vec::new(),
            counter: 1,
            verifies: true,
            origin: origin.to_owned(),
        }
    }

    fn flags(&self, all: u8) -> u8 {
        if self.verifies { all } else { all & !0b100 }
    }

    fn client_data(&self, kind: &str, options: &Value) -> Vec<u8> {
        let data = json!({
            "type": kind, "challenge": options["challenge"], "origin": self.origin,
            "crossOrigin": false,
        });
        data.to_string().into_bytes()
    }

    fn head(&self, rp: &str, flags: u8) -> Vec<u8> {
        let mut data = Sha256::digest(rp.as_bytes()).to_vec();
        data.push(self.flags(flags));
        data.extend(self.counter.to_be_bytes());
        data
    }

    /// Makes the passkey; returns what the browser would.
    ///
    /// # Panics
    /// The options are not those of a server.
    pub fn make(&mut self, options: &Value) -> Value {
        let rp = options["rp"]["id"].as_str().expect("a relying party");
        self.handle = URL_SAFE_NO_PAD
            .decode(options["user"]["id"].as_str().unwrap())
            .unwrap();
        let mut data = self.head(rp, MADE);
        data.extend([0; 16]);
        data.extend(u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend(&self.id);
        // {1: 2, 3: -7, -1: 1, -2: x, -3: y}
        let point = &self.key.public_key().as_ref()[1..];
        data.extend([0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21]);
        bytes(&mut data, &point[..32]);
        data.push(0x22);
        bytes(&mut data, &point[32..]);
        // {"fmt": "none", "attStmt": {}, "authData": …}
        let mut object = vec![0xa3, 0x63];
        object.extend(b"fmt");
        object.push(0x64);
        object.extend(b"none");
        object.push(0x67);
        object.extend(b"attStmt");
        object.extend([0xa0, 0x68]);
        object.extend(b"authData");
        bytes(&mut object, &data);
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(&self.client_data("webauthn.create", options)),
                "attestationObject": encode(&object),
                "transports": ["internal"],
            },
        })
    }

    /// Shows the passkey; returns what the browser would.
    ///
    /// # Panics
    /// The options are not those of a server.
    pub fn show(&mut self, options: &Value) -> Value {
        if self.counter > 0 {
            self.counter += 1;
        }
        let rp = options["rpId"].as_str().expect("a relying party");
        let data = self.head(rp, SHOWN);
        let client = self.client_data("webauthn.get", options);
        let mut signed = data.clone();
        signed.extend(Sha256::digest(&client));
        let signature = self.key.sign(&self.random, &signed).unwrap();
        json!({
            "id": encode(&self.id), "rawId": encode(&self.id), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": encode(&client),
                "authenticatorData": encode(&data),
                "signature": encode(signature.as_ref()),
                "userHandle": encode(&self.handle),
            },
        })
    }
}
