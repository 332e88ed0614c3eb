"""AWS Signature Version 4 for S3, written from the published description: it shares no line with the
server's own, so that the two check each other."""

import hashlib
import hmac
import urllib.parse


def encode(text, safe="-_.~"):
    return urllib.parse.quote(text, safe=safe)


def canonical_query(raw):
    pairs = urllib.parse.parse_qsl(raw, keep_blank_values=True)
    return "&".join(sorted(f"{encode(k)}={encode(v)}" for k, v in pairs))


def sign(secret, region, time, method, path, raw_query, headers, payload_sha256):
    """The signature as hex digits. `path` is encoded; `headers`: lower-case name -> value, all signed."""
    names = sorted(headers)
    request = "\n".join([
        method, path, canonical_query(raw_query),
        *(f"{name}:{' '.join(headers[name].split())}" for name in names),
        "", ";".join(names), payload_sha256])
    scope = f"{time[:8]}/{region}/s3/aws4_request"
    text = "\n".join(["AWS4-HMAC-SHA256", time, scope, hashlib.sha256(request.encode()).hexdigest()])
    key = ("AWS4" + secret).encode()
    for word in (time[:8], region, "s3", "aws4_request"):
        key = hmac.new(key, word.encode(), hashlib.sha256).digest()
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()
