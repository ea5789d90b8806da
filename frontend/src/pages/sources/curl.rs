//! A command line that sends an alert to a source, for a person to paste into a shell.

use engine::signature::{Algorithm, Encoding, HmacScheme, Scheme, SecretEncoding, TimestampPlace};

/// A small monitoring alert.
pub const SAMPLE: &str = r#"{"monitor":{"id":7,"name":"db-1","tags":[{"name":"prod"}]},"heartbeat":{"status":0},"msg":"db-1 is down"}"#;

/// The lines; the secret is read from a variable, so that it stays out of the history.
pub fn curl(url: &str, scheme: &Scheme) -> String {
    let json = "-H 'Content-Type: application/json'";
    match scheme {
        Scheme::None => format!("curl '{url}' \\\n  {json} \\\n  -d '{SAMPLE}'"),
        Scheme::Bearer => format!(
            "curl '{url}' \\\n  -H \"Authorization: Bearer $TOKEN\" \\\n  {json} \\\n  -d '{SAMPLE}'"
        ),
        Scheme::Basic { username } => {
            let user = username.replace('\'', "");
            format!("curl '{url}' \\\n  -u '{user}':\"$PASSWORD\" \\\n  {json} \\\n  -d '{SAMPLE}'")
        }
        Scheme::Url => format!("curl '{url}'/\"$TOKEN\" \\\n  {json} \\\n  -d '{SAMPLE}'"),
        other if other.token_header().is_some() => {
            let header = other.token_header().unwrap_or_default();
            format!("curl '{url}' \\\n  -H \"{header}: $TOKEN\" \\\n  {json} \\\n  -d '{SAMPLE}'")
        }
        other => other
            .hmac()
            .map_or_else(String::new, |hmac| signed(url, json, &hmac)),
    }
}

fn signed(url: &str, json: &str, hmac: &HmacScheme) -> String {
    let mut lines = vec![format!("BODY='{SAMPLE}'")];
    let mut headers = Vec::new();
    if let Some(name) = &hmac.id_header {
        lines.push("ID=msg_$(date +%s%N)".to_owned());
        headers.push(format!("-H \"{name}: $ID\""));
    }
    let mut before = String::new();
    if let Some(timestamp) = &hmac.timestamp {
        lines.push("TS=$(date +%s)".to_owned());
        match timestamp.place() {
            TimestampPlace::Header(name) => headers.push(format!("-H \"{name}: $TS\"")),
            TimestampPlace::Field { name, .. } => before = format!("{name}=$TS,"),
        }
    }
    let text = hmac
        .signed_text()
        .replace("{id}", "${ID}")
        .replace("{timestamp}", "${TS}")
        .replace("{url}", hmac.callback_url.as_deref().unwrap_or_default())
        .replace("{body}", "${BODY}");
    let hash = match hmac.algorithm {
        Algorithm::Sha256 => "sha256",
        Algorithm::Sha1 => "sha1",
    };
    let key = match hmac.secret_encoding {
        SecretEncoding::Text => "-hmac \"$SECRET\"".to_owned(),
        SecretEncoding::Base64 => {
            lines.push(
                "KEY=$(printf %s \"${SECRET#whsec_}\" | base64 -d | od -An -vtx1 | tr -d ' \\n')"
                    .to_owned(),
            );
            "-mac HMAC -macopt \"hexkey:$KEY\"".to_owned()
        }
    };
    let written = match hmac.encoding {
        Encoding::Hex => "-r | cut -d' ' -f1",
        Encoding::Base64 => "-binary | base64 -w0",
    };
    lines.push(format!(
        "SIG=$(printf %s \"{text}\" | openssl dgst -{hash} {key} {written})"
    ));
    headers.push(format!(
        "-H \"{}: {before}{}$SIG\"",
        hmac.header, hmac.prefix
    ));
    lines.push(format!(
        "curl '{url}' \\\n  {} \\\n  {json} \\\n  -d \"$BODY\"",
        headers.join(" \\\n  ")
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::signature::PresetOptions;

    #[test]
    fn the_secret_is_never_part_of_the_line() {
        let line = curl("http://localhost/hooks/a", &Scheme::Bearer);
        assert!(line.contains("Bearer $TOKEN"), "{line}");
        assert!(line.contains(SAMPLE), "{line}");
    }

    #[test]
    fn a_preset_brings_its_header_and_prefix() {
        let line = curl(
            "http://localhost/hooks/a",
            &Scheme::Github(PresetOptions::default()),
        );
        assert!(
            line.contains("-H \"X-Hub-Signature-256: sha256=$SIG\""),
            "{line}"
        );
        assert!(
            line.contains("printf %s \"${BODY}\" | openssl dgst -sha256 -hmac \"$SECRET\" -r"),
            "{line}"
        );
    }

    #[test]
    fn a_token_stands_where_its_sender_puts_it() {
        let url = "http://localhost/hooks/main/a";
        let line = curl(url, &Scheme::Gitlab(PresetOptions::default()));
        assert!(line.contains("-H \"X-Gitlab-Token: $TOKEN\""), "{line}");
        let line = curl(url, &Scheme::Url);
        assert!(
            line.starts_with("curl 'http://localhost/hooks/main/a'/\"$TOKEN\""),
            "{line}"
        );
        let trello = Scheme::Trello(PresetOptions {
            callback_url: Some("https://gw.example/t".to_owned()),
            ..PresetOptions::default()
        });
        let line = curl(url, &trello);
        assert!(line.contains("\"${BODY}https://gw.example/t\""), "{line}");
    }

    #[test]
    fn a_signed_timestamp_is_sent_beside_the_signature() {
        let line = curl(
            "http://localhost/hooks/a",
            &Scheme::Stripe(PresetOptions::default()),
        );
        assert!(line.contains("TS=$(date +%s)"), "{line}");
        assert!(line.contains("Stripe-Signature: t=$TS,v1=$SIG"), "{line}");
        assert!(line.contains("\"${TS}.${BODY}\""), "{line}");
    }
}
