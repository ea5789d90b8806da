//! Signatures of API requests: the published vector, what is bound, what headers may look like.

use engine::secret::Secret;
use engine::signature::{
    Claim, RequestSignature, SignatureHeaders, SignedRequest, sign_request, signed_text,
};
use proptest::prelude::*;

const SECRET: &str = "test-secret-0123456789abcdef";
const CLIENT: &str = "sb_client_1";
const NONCE: &str = "nonce-000000000001";
const SECONDS: i64 = 1_767_225_600;
const REQUEST: SignedRequest<'_> = SignedRequest {
    method: "POST",
    path: "/api/v1/rules",
    query: "dry_run=true&x=%2F",
    body: br#"{"priority":10,"action":"DROP"}"#,
};
const VECTOR: &str = "v1=bb2601dfa6369400eae9660ed868260af3c9e7fe1fcf4bc845ba3d3bd18081a2";

fn read(
    client: &str,
    timestamp: &str,
    nonce: &str,
    signature: &str,
) -> Result<RequestSignature, &'static str> {
    RequestSignature::parse(&SignatureHeaders {
        client: vec![client.as_bytes()],
        timestamp: vec![timestamp.as_bytes()],
        nonce: vec![nonce.as_bytes()],
        signature: vec![signature.as_bytes()],
    })
    .map_err(|fault| fault.header)
}

fn vector(signature: &str) -> RequestSignature {
    read(CLIENT, "1767225600", NONCE, signature).unwrap()
}

#[test]
fn the_published_vector_holds() {
    let text = signed_text(CLIENT, SECONDS, NONCE, &REQUEST);
    assert_eq!(
        text,
        "SB1-HMAC-SHA256\nsb_client_1\nPOST\n/api/v1/rules\ndry_run=true&x=%2F\n1767225600\n\
         nonce-000000000001\naca5a3a97b0be893db1a75c098be98e3521be51024a8445b117491e71bfa26b6"
    );
    assert_eq!(
        sign_request(&SECRET.into(), CLIENT, SECONDS, NONCE, &REQUEST),
        VECTOR
    );
    assert_eq!(
        vector(VECTOR).signed_by(&REQUEST, &[SECRET.into()]),
        Some(0)
    );
}

#[test]
fn any_of_the_live_secrets_may_have_signed() {
    let keys: [Secret; 2] = ["another".into(), SECRET.into()];
    assert_eq!(vector(VECTOR).signed_by(&REQUEST, &keys), Some(1));
    assert_eq!(vector(VECTOR).signed_by(&REQUEST, &keys[..1]), None);
    assert_eq!(vector(VECTOR).signed_by(&REQUEST, &[]), None);
    // A client that is moving signs with both.
    let other = sign_request(&"another".into(), CLIENT, SECONDS, NONCE, &REQUEST);
    let both = vector(&format!("{other}, {VECTOR}"));
    assert_eq!(both.signed_by(&REQUEST, &keys[1..]), Some(0));
    assert_eq!(both.signed_by(&REQUEST, &keys), Some(0));
}

#[test]
fn an_empty_secret_signs_nothing() {
    let empty = Secret::new(Vec::new());
    let signed = sign_request(&empty, CLIENT, SECONDS, NONCE, &REQUEST);
    assert_eq!(vector(&signed).signed_by(&REQUEST, &[empty]), None);
}

#[test]
fn every_part_is_bound() {
    let fits = |signature: &RequestSignature, request: &SignedRequest<'_>| {
        signature.signed_by(request, &[SECRET.into()]).is_some()
    };
    let signature = vector(VECTOR);
    assert!(fits(&signature, &REQUEST));
    for other in [
        SignedRequest {
            method: "PUT",
            ..REQUEST
        },
        SignedRequest {
            path: "/api/v1/rules/",
            ..REQUEST
        },
        SignedRequest {
            query: "dry_run=true&x=/",
            ..REQUEST
        },
        SignedRequest {
            query: "",
            ..REQUEST
        },
        SignedRequest {
            body: b"{}",
            ..REQUEST
        },
    ] {
        assert!(!fits(&signature, &other), "{other:?}");
    }
    for (client, timestamp, nonce) in [
        ("sb_client_2", "1767225600", NONCE),
        (CLIENT, "1767225601", NONCE),
        (CLIENT, "1767225600", "nonce-000000000002"),
    ] {
        let other = read(client, timestamp, nonce, VECTOR).unwrap();
        assert!(!fits(&other, &REQUEST), "{other:?}");
    }
}

#[test]
fn the_plain_form_is_method_path_body_timestamp() {
    // printf '%s' 'POST/api/v1/rules{"a":1}1767225600' | openssl dgst -sha256 -hmac test-secret-…
    let request = SignedRequest {
        query: "",
        body: br#"{"a":1}"#,
        ..REQUEST
    };
    let plain = "5e0b1c0a";
    assert_eq!(read(CLIENT, "1767225600", NONCE, plain), Err("X-Signature"));
    let code = PLAIN;
    for written in [code.to_owned(), code.to_uppercase()] {
        let signature = vector(&written);
        assert!(matches!(signature.claim, Claim::Plain { .. }));
        assert_eq!(signature.replay_key(), code);
        assert_eq!(signature.signed_by(&request, &[SECRET.into()]), Some(0));
        assert_eq!(signature.signed_by(&REQUEST, &[SECRET.into()]), None);
    }
}

const PLAIN: &str = "0e27324cf2b5fb191f19297f4a692fe9f73dc4a4b63872f875f59a6268d95ec7";

#[test]
fn headers_have_one_form() {
    let long = "a".repeat(129);
    for (client, timestamp, nonce, signature, fault) in [
        ("", "1767225600", NONCE, VECTOR, "X-Client-Id"),
        ("a b", "1767225600", NONCE, VECTOR, "X-Client-Id"),
        ("ä", "1767225600", NONCE, VECTOR, "X-Client-Id"),
        (&long[..65], "1767225600", NONCE, VECTOR, "X-Client-Id"),
        (CLIENT, "", NONCE, VECTOR, "X-Timestamp"),
        (CLIENT, "+1767225600", NONCE, VECTOR, "X-Timestamp"),
        (CLIENT, "01767225600", NONCE, VECTOR, "X-Timestamp"),
        (CLIENT, "1767225600.0", NONCE, VECTOR, "X-Timestamp"),
        (CLIENT, "999999999999", NONCE, VECTOR, "X-Timestamp"),
        (CLIENT, "1767225600", "short", VECTOR, "X-Nonce"),
        (CLIENT, "1767225600", &long, VECTOR, "X-Nonce"),
        (
            CLIENT,
            "1767225600",
            "nonce 0000000000001",
            VECTOR,
            "X-Nonce",
        ),
        (CLIENT, "1767225600", NONCE, "", "X-Signature"),
        (CLIENT, "1767225600", NONCE, "v1=", "X-Signature"),
        (CLIENT, "1767225600", NONCE, &VECTOR[..66], "X-Signature"),
        (
            CLIENT,
            "1767225600",
            NONCE,
            &VECTOR.to_uppercase(),
            "X-Signature",
        ),
        (
            CLIENT,
            "1767225600",
            NONCE,
            &format!("{VECTOR},"),
            "X-Signature",
        ),
        (
            CLIENT,
            "1767225600",
            NONCE,
            &format!("{VECTOR},{PLAIN}"),
            "X-Signature",
        ),
        (
            CLIENT,
            "1767225600",
            NONCE,
            &[VECTOR; 5].join(","),
            "X-Signature",
        ),
    ] {
        assert_eq!(
            read(client, timestamp, nonce, signature).err(),
            Some(fault),
            "{client} {timestamp} {nonce} {signature}"
        );
    }
    let twice = SignatureHeaders {
        client: vec![b"a", b"b"],
        ..SignatureHeaders::default()
    };
    assert_eq!(
        RequestSignature::parse(&twice).unwrap_err().header,
        "X-Client-Id"
    );
}

proptest! {
    #[test]
    fn what_is_signed_is_accepted_and_nothing_else_is(
        client in "[A-Za-z0-9_-]{1,64}",
        seconds in 1_i64..99_999_999_999,
        nonce in "[A-Za-z0-9_-]{16,128}",
        method in "[A-Z]{3,7}",
        path in "/[!-~&&[^?#]]{0,40}",
        query in "[!-~&&[^#]]{0,40}",
        body in proptest::collection::vec(any::<u8>(), 0..200),
        secret in "[ -~]{1,80}",
        flip in any::<prop::sample::Index>(),
    ) {
        let request = SignedRequest { method: &method, path: &path, query: &query, body: &body };
        let key: Secret = secret.as_str().into();
        let signed = sign_request(&key, &client, seconds, &nonce, &request);
        let read = read(&client, &seconds.to_string(), &nonce, &signed).unwrap();
        prop_assert_eq!(read.timestamp, seconds);
        prop_assert_eq!(read.replay_key(), nonce);
        prop_assert_eq!(read.signed_by(&request, std::slice::from_ref(&key)), Some(0));
        // One other byte in the body, wherever it is, and nothing fits.
        let mut other = body.clone();
        if other.is_empty() {
            other.push(0);
        } else {
            let place = flip.index(other.len());
            other[place] ^= 1;
        }
        let other = SignedRequest { body: &other, ..request };
        prop_assert_eq!(read.signed_by(&other, &[key]), None);
    }
}
