"""An S3-compatible store: moto's, behind a check of the signature in each address.

Arguments: port, id of the key, its secret. The signature is computed anew with the code of Amazon's
own client. A request with the header `x-test` is the test's own and is let through.
"""

import sys
from urllib.parse import parse_qsl, urlencode

from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.wrappers import Request, Response

port, key, secret = int(sys.argv[1]), sys.argv[2], sys.argv[3]
store = DomainDispatcherApplication(create_backend_app)


def fault(request):
    """Why the request is refused; nothing if it is not."""
    raw = request.environ["QUERY_STRING"]
    pairs = dict(parse_qsl(raw, keep_blank_values=True))
    signature = pairs.pop("X-Amz-Signature", "")
    who, _, region, service, _ = (pairs.get("X-Amz-Credential", "") + "////").split("/")[:5]
    if who != key:
        return "InvalidAccessKeyId"
    signed = pairs["X-Amz-SignedHeaders"].split(";")
    headers = {name: request.headers[name] for name in signed}
    # As it was sent: what is escaped is part of what is signed.
    path = request.environ["RAW_URI"].partition("?")[0]
    url = f"http://{request.host}{path}?{urlencode(pairs)}"
    again = AWSRequest(request.method, url, headers=headers)
    again.context["timestamp"] = pairs["X-Amz-Date"]
    auth = S3SigV4QueryAuth(Credentials(key, secret), service, region)
    text = auth.string_to_sign(again, auth.canonical_request(again))
    return None if auth.signature(text, again) == signature else "SignatureDoesNotMatch"


@Request.application
def application(request):
    """Answers one request."""
    code = None if "x-test" in request.headers else fault(request)
    if code:
        body = f"<Error><Code>{code}</Code></Error>"
        return Response(body, 403, content_type="application/xml")
    return Response.from_app(store, request.environ)


run_simple("127.0.0.1", port, application, threaded=True)
