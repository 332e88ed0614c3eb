#!/usr/bin/env python3
"""A small S3 client for tests: what a reader sees of a bucket, without a line of the server's own code.

    client.py make-bucket NAME      waits until the server answers

Endpoint and keys come from the standard AWS variables.
"""

import datetime
import hashlib
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
import xml.etree.ElementTree as ElementTree

import signature


class S3:
    def __init__(self, endpoint, access_key, secret_key, region="us-east-1"):
        self.endpoint, self.access_key = endpoint.rstrip("/"), access_key
        self.secret_key, self.region = secret_key, region

    @classmethod
    def from_environment(cls):
        return cls(os.environ["AWS_ENDPOINT_URL"], os.environ["AWS_ACCESS_KEY_ID"],
                   os.environ["AWS_SECRET_ACCESS_KEY"], os.environ.get("AWS_REGION", "us-east-1"))

    def request(self, method, path, query="", body=b""):
        """The answer's bytes; urllib.error.HTTPError for a refusal."""
        path = urllib.parse.quote(path, safe="/-_.~")
        now = datetime.datetime.now(datetime.timezone.utc).strftime("%Y%m%dT%H%M%SZ")
        payload = hashlib.sha256(body).hexdigest()
        headers = {"host": urllib.parse.urlsplit(self.endpoint).netloc, "x-amz-date": now,
                   "x-amz-content-sha256": payload}
        signed = signature.sign(self.secret_key, self.region, now, method, path, query, headers,
                                payload)
        headers["Authorization"] = (
            f"AWS4-HMAC-SHA256 Credential={self.access_key}/{now[:8]}/{self.region}/s3/aws4_request,"
            f"SignedHeaders={';'.join(sorted(headers))},Signature={signed}")
        request = urllib.request.Request(
            self.endpoint + path + ("?" + query if query else ""), method=method, headers=headers,
            data=body if method in ("PUT", "POST") else None)
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.read()

    def get(self, bucket, key):
        return self.request("GET", f"/{bucket}/{key}")

    def put(self, bucket, key, body):
        self.request("PUT", f"/{bucket}/{key}", body=body)

    def keys(self, bucket, prefix=""):
        query = f"list-type=2&prefix={urllib.parse.quote(prefix, safe='')}"
        return self.texts(self.request("GET", f"/{bucket}", query), "Key")

    def uploads(self, bucket):
        """Keys of multipart uploads that are open."""
        return self.texts(self.request("GET", f"/{bucket}", "uploads="), "Key")

    def tree(self, bucket, prefix):
        """relative path -> bytes of every object below the prefix."""
        return {key[len(prefix) + 1:]: self.get(bucket, key) for key in
                self.keys(bucket, prefix + "/")}

    @staticmethod
    def texts(answer, name):
        return [element.text for element in ElementTree.fromstring(answer).iter()
                if element.tag.rpartition("}")[2] == name]


def main():
    if len(sys.argv) != 3 or sys.argv[1] != "make-bucket":
        sys.exit(__doc__)
    while True:
        try:
            return S3.from_environment().request("PUT", "/" + sys.argv[2])
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.2)


if __name__ == "__main__":
    main()
