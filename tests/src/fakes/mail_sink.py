"""A mail server for the tests: takes what it is sent and prints each mail as a line of JSON.

Arguments: a folder for certificates, and options as JSON. It ends when its standard input does.
"""

import asyncio
import datetime
import email
import email.policy
import ipaddress
import json
import ssl
import sys
from pathlib import Path

from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID


def say(what):
    print(json.dumps(what), flush=True)


def certificates(folder):
    """An authority and a certificate for localhost, in files."""
    def name(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    now = datetime.datetime.now(datetime.timezone.utc)
    ca_key, key = ec.generate_private_key(ec.SECP256R1()), ec.generate_private_key(ec.SECP256R1())

    def builder(subject, public):
        return (
            x509.CertificateBuilder()
            .subject_name(name(subject))
            .issuer_name(name("Test authority"))
            .public_key(public)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=30))
        )

    authority = builder("Test authority", ca_key.public_key()).add_extension(
        x509.BasicConstraints(ca=True, path_length=0), critical=True
    ).sign(ca_key, hashes.SHA256())
    names = [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    own = builder("localhost", key.public_key()).add_extension(
        x509.SubjectAlternativeName(names), critical=False
    ).sign(ca_key, hashes.SHA256())
    pem = serialization.Encoding.PEM
    (folder / "ca.pem").write_bytes(authority.public_bytes(pem))
    (folder / "cert.pem").write_bytes(own.public_bytes(pem))
    (folder / "key.pem").write_bytes(
        key.private_bytes(
            pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "cert.pem", folder / "key.pem")
    return context


class Handler:
    def __init__(self, options):
        self.options = options

    async def handle_RCPT(self, server, session, envelope, address, rcpt_options):
        if self.options.get("refuse"):
            return f"{self.options['refuse']} {address} is not wanted here"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server, session, envelope):
        mail = email.message_from_bytes(envelope.content, policy=email.policy.SMTP)
        plain, html = mail.get_body(("plain",)), mail.get_body(("html",))
        say({
            "from": envelope.mail_from,
            "to": envelope.rcpt_tos,
            "hello": session.host_name,
            "tls": server.transport.get_extra_info("ssl_object") is not None,
            "user": session.auth_data,
            "headers": [[k, str(v)] for k, v in mail.items()],
            "text": plain.get_content() if plain else "",
            "html": html.get_content() if html else "",
        })
        return "250 OK"


async def main():
    folder, options = Path(sys.argv[1]), json.loads(sys.argv[2])
    mode = options.get("tls", "none")
    context = certificates(folder) if mode != "none" else None

    def authenticate(server, session, envelope, mechanism, data):
        login = data.login.decode(), data.password.decode()
        good = login == (options["user"], options["password"])
        return AuthResult(success=good, handled=good, auth_data=login[0] if good else None)

    def factory():
        return SMTP(
            Handler(options),
            hostname="sink.test",
            enable_SMTPUTF8=True,
            tls_context=context if mode == "starttls" else None,
            require_starttls=mode == "starttls",
            auth_required=bool(options.get("user")),
            auth_require_tls=False,
            authenticator=authenticate if options.get("user") else None,
            loop=asyncio.get_running_loop(),
        )

    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        factory, "127.0.0.1", options.get("port", 0), ssl=context if mode == "implicit" else None
    )
    say({"port": server.sockets[0].getsockname()[1]})
    await loop.run_in_executor(None, sys.stdin.read)
    server.close()


asyncio.run(main())
