"""Checks a request's signature as Amazon does (Signature Version 4)."""

import hashlib
import hmac
import re
import urllib.parse

from checks import need

KEY_ID = "AKIDUPSTREAM"
SECRET = "upstream-aws"
REGION = "eu-west-1"
AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/([^/]+)/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})"
)


def sign(key, text):
    return hmac.new(key, text.encode(), hashlib.sha256).digest()


def authenticate(method, target, headers, body):
    found = AUTHORIZATION.fullmatch(headers.get("authorization", ""))
    need(found, f"403 Missing Authentication Token: {headers.get('authorization')}")
    key_id, day, region, service, names, signature = found.groups()
    need((key_id, region, service) == (KEY_ID, REGION, "bedrock"), f"403 wrong scope: {found.group(0)}")
    signed = names.split(";")
    need({"host", "x-amz-date"} <= set(signed) and signed == sorted(signed), f"403 SignedHeaders: {names}")
    time = headers["x-amz-date"]
    need(time.startswith(day), "403 the date of the credential is another")
    path, _, query = target.partition("?")
    # Every service but S3 encodes the path that was sent once more.
    path = "/".join(urllib.parse.quote(segment, safe="-_.~") for segment in path.split("/"))
    query = "&".join(sorted(query.split("&"))) if query else ""
    lines = [f"{name}:{' '.join(headers[name].split())}\n" for name in signed]
    payload = hashlib.sha256(body).hexdigest()
    canonical = "\n".join([method, path, query, "".join(lines), names, payload])
    scope = f"{day}/{region}/{service}/aws4_request"
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, digest])
    key = sign(sign(sign(sign(b"AWS4" + SECRET.encode(), day), region), service), "aws4_request")
    right = hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
    need(hmac.compare_digest(right, signature), f"403 The request signature we calculated does not match: {canonical!r}")
