#!/usr/bin/env python3
"""A quick S3 server in memory that does what it is told to do wrong.

    fake_s3.py [--bucket NAME]..; prints its port, ends with its standard input

Path style only. Checks signatures (signature.py) and the SHA-256 of payloads, part sizes and
conditions, so that what works here works at a server that is strict. Not part of S3 is "/-/":

    PUT  /-/faults   a JSON list of rules, tried in order for each request; replaces the old ones
    GET  /-/state    {"objects": {"BUCKET/KEY": {"size", "sha256", "owner"}},
                      "uploads": [{"bucket", "key", "id", "parts"}], "calls": {"OPERATION": n},
                      "fired": times that a rule applied, "hosts": [..]}

A rule: {"operation": "UploadPart" ("*": all), "times": 1, "skip": 0, "action": .., "if_header": ..}
    {"action": "status", "status": 503, "code": "SlowDown", "retry_after": 1}
    {"action": "cut"}          reads half of the body, closes the connection
    {"action": "lose_answer"}  does what was asked, closes without an answer
    {"action": "stall", "seconds": 3}      answers late
    {"action": "late_error", "code": ..}   status 200, and an <Error> for a body
    {"action": "no_etag"}      leaves the ETag out
    {"action": "own_etag"}     gives ETags that are no MD5 sums
    {"action": "same_etag"}    gives everything the same ETag
"""

import argparse
import contextlib
import hashlib
import http.server
import json
import re
import socket
import socketserver
import threading
import time
import urllib.parse
from xml.sax.saxutils import escape

import signature

ACCESS_KEY, SECRET_KEY, REGION = "test-key", "test-secret", "us-east-1"
MIN_PART = 5 << 20


class Refusal(Exception):
    def __init__(self, status, code, message="", headers=None):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message
        self.headers = headers or {}


class Store:
    def __init__(self, buckets):
        self.lock = threading.Lock()
        self.buckets = set(buckets)
        self.objects, self.uploads = {}, {}  # (bucket, key) -> ..; id -> ..
        self.calls, self.hosts, self.faults = {}, set(), []
        self.next_id = self.fired = 0

    def fault_for(self, operation, headers):
        with self.lock:
            self.calls[operation] = self.calls.get(operation, 0) + 1
            for rule in self.faults:
                if rule.get("operation", "*") not in ("*", operation):
                    continue
                if "if_header" in rule and rule["if_header"] not in headers:
                    continue
                if rule.get("skip", 0) > 0:
                    rule["skip"] -= 1
                elif rule.setdefault("times", 1) > 0:
                    rule["times"] -= 1
                    self.fired += 1
                    return dict(rule)
            return {}

    def state(self):
        with self.lock:
            return {
                "objects": {f"{b}/{k}": {"size": len(o["data"]), "owner": o["owner"],
                                         "sha256": hashlib.sha256(o["data"]).hexdigest()}
                            for (b, k), o in self.objects.items()},
                "uploads": [{"bucket": u["bucket"], "key": u["key"], "id": i,
                             "parts": sorted(u["parts"])} for i, u in self.uploads.items()],
                "calls": self.calls, "fired": self.fired, "hosts": sorted(self.hosts)}


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store = None
    disable_nagle_algorithm = True

    def log_message(self, *args):
        pass

    def do_GET(self):
        self.close_connection = False
        url = urllib.parse.urlsplit(self.path)
        if url.path.startswith("/-/"):
            return self.control(url.path)
        headers = {k.lower(): v for k, v in self.headers.items()}
        query = dict(urllib.parse.parse_qsl(url.query, keep_blank_values=True))
        bucket, _, key = urllib.parse.unquote(url.path[1:]).partition("/")
        operation = self.operation(key, query)
        fault = self.store.fault_for(operation, headers)
        self.store.hosts.add(headers.get("host", ""))
        length = int(headers.get("content-length", 0))
        if fault.get("action") == "cut":
            self.rfile.read(length // 2)
            self.connection.close()
            self.close_connection = True
            return None
        body = self.rfile.read(length)
        self.fault = fault
        try:
            if fault.get("action") == "status":
                extra = {name: str(fault[field]) for field, name in
                         (("retry_after", "Retry-After"), ("location", "Location"))
                         if field in fault}
                raise Refusal(fault["status"], fault.get("code", ""), "as the test wants", extra)
            if fault.get("action") == "stall":
                time.sleep(fault["seconds"])
            self.check_signature(url, headers, body)
            if bucket not in self.store.buckets:
                raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist")
            with self.store.lock:
                answer = getattr(self, "on_" + operation)(bucket, key, query, headers, body)
        except Refusal as refusal:
            answer = refusal.status, refusal.headers, self.error(refusal.code, refusal.message)
        if fault.get("action") == "lose_answer":
            self.connection.close()
            self.close_connection = True
            return None
        return self.answer(*answer)

    do_PUT = do_POST = do_DELETE = do_HEAD = do_GET

    def operation(self, key, query):
        command = self.command
        if not key:
            return "ListUploads" if "uploads" in query else "ListObjects"
        if command == "POST":
            return "CreateUpload" if "uploads" in query else "CompleteUpload"
        if "uploadId" in query:
            return {"PUT": "UploadPart", "GET": "ListParts", "DELETE": "AbortUpload"}[command]
        return {"PUT": "PutObject", "GET": "GetObject", "HEAD": "HeadObject",
                "DELETE": "DeleteObject"}[command]

    def answer(self, status, headers, body=b""):
        self.send_response(status)
        if self.fault.get("action") == "no_etag":
            headers = {k: v for k, v in headers.items() if k != "ETag"}
        for name, value in headers.items():
            self.send_header(name, value)
        if "Content-Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    @staticmethod
    def error(code, message):
        return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>{escape(message)}</Message>" \
               "<RequestId>1</RequestId></Error>".encode()

    def control(self, path):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.fault = {}
        if path == "/-/faults":
            with self.store.lock:
                self.store.faults = json.loads(body)
            return self.answer(200, {})
        return self.answer(200, {}, json.dumps(self.store.state()).encode())

    def check_signature(self, url, headers, body):
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=([^/]+)/(\d{8})/([^/]+)/s3/aws4_request,"
            r"SignedHeaders=([^,]+),Signature=([0-9a-f]{64})", headers.get("authorization", ""))
        if not found:
            raise Refusal(403, "AccessDenied", "no signature")
        access, _, region, names, given = found.groups()
        if access != ACCESS_KEY:
            raise Refusal(403, "InvalidAccessKeyId", "The key does not exist in our records")
        if region != REGION:
            raise Refusal(400, "AuthorizationHeaderMalformed", f"expecting '{REGION}'")
        signed = {name: headers.get(name, "") for name in names.split(";")}
        if not {"host", "x-amz-date", "x-amz-content-sha256"} <= signed.keys():
            raise Refusal(403, "AccessDenied", "a header that must be signed is not")
        expected = signature.sign(SECRET_KEY, region, headers["x-amz-date"], self.command, url.path,
                                  url.query, signed, headers["x-amz-content-sha256"])
        if given != expected:
            raise Refusal(403, "SignatureDoesNotMatch", "Check your key and signing method.")
        if hashlib.sha256(body).hexdigest() != headers["x-amz-content-sha256"]:
            raise Refusal(400, "XAmzContentSHA256Mismatch", "the body is not what was signed")

    # ---- The operations; the lock is held.

    def upload(self, query):
        upload = self.store.uploads.get(query["uploadId"])
        if upload is None:
            raise Refusal(404, "NoSuchUpload", "The specified upload does not exist")
        return upload

    def check_condition(self, bucket, key, headers):
        if headers.get("if-none-match") == "*" and (bucket, key) in self.store.objects:
            raise Refusal(412, "PreconditionFailed", "At least one condition did not hold")

    def on_CreateUpload(self, bucket, key, query, headers, body):
        self.store.next_id += 1
        upload_id = f"upload/{self.store.next_id}+="  # characters that must be encoded
        self.store.uploads[upload_id] = {"bucket": bucket, "key": key, "parts": {}, "etags": {},
                                         "owner": headers.get("x-amz-meta-seedlm-job", ""),
                                         "initiated": time.strftime("%Y-%m-%dT%H:%M:%S.000Z",
                                                                    time.gmtime())}
        return 200, {}, ("<InitiateMultipartUploadResult><Bucket>b</Bucket><UploadId>" + upload_id +
                         "</UploadId></InitiateMultipartUploadResult>").encode()

    def etag(self, body):
        if self.fault.get("action") == "same_etag":
            return '"same"'
        if self.fault.get("action") == "own_etag":
            return '"' + hashlib.sha1(body).hexdigest() + '"'
        return f'"{hashlib.md5(body).hexdigest()}"'

    def etag_of_all(self, parts):
        if self.fault.get("action") in ("own_etag", "same_etag"):
            return self.etag(b"".join(parts))
        sums = b"".join(hashlib.md5(part).digest() for part in parts)
        return f'"{hashlib.md5(sums).hexdigest()}-{len(parts)}"'

    def on_UploadPart(self, bucket, key, query, headers, body):
        etag = self.etag(body)
        self.upload(query)["parts"][int(query["partNumber"])] = body
        self.upload(query)["etags"][int(query["partNumber"])] = etag
        return 200, {"ETag": etag}

    def on_ListParts(self, bucket, key, query, headers, body):
        upload = self.upload(query)
        numbers = sorted(n for n in upload["parts"] if n > int(query.get("part-number-marker", 0)))
        page = numbers[:2]  # as of ListUploads
        more = page != numbers
        parts = ""
        for number in page:
            etag = escape(upload["etags"][number], {'"': "&quot;"})
            etag = "" if self.fault.get("action") == "no_etag" else f"<ETag>{etag}</ETag>"
            parts += f"<Part><PartNumber>{number}</PartNumber>{etag}" \
                     f"<Size>{len(upload['parts'][number])}</Size></Part>"
        marker = f"<NextPartNumberMarker>{page[-1]}</NextPartNumberMarker>" if more else ""
        return 200, {}, (f"<ListPartsResult>{marker}<IsTruncated>{str(more).lower()}</IsTruncated>"
                         f"{parts}</ListPartsResult>").encode()

    def on_CompleteUpload(self, bucket, key, query, headers, body):
        upload = self.upload(query)
        listed = re.findall(rb"<Part><PartNumber>(\d+)</PartNumber>(?:<ETag>(.*?)</ETag>)?</Part>", body)
        numbers = [int(n) for n, _ in listed]
        if numbers != sorted(set(numbers)):
            raise Refusal(400, "InvalidPartOrder", "The list of parts was not in ascending order")
        if not numbers or not set(numbers) <= set(upload["parts"]):
            raise Refusal(400, "InvalidPart", "One or more of the specified parts could not be found")
        for number, etag in listed:
            part = upload["parts"][int(number)]
            etag = etag.replace(b"&quot;", b'"').decode()
            if etag and etag != upload["etags"][int(number)]:
                raise Refusal(400, "InvalidPart", "an ETag does not match")
            if len(part) < MIN_PART and number != listed[-1][0]:
                raise Refusal(400, "EntityTooSmall", "a part is smaller than the minimum")
        self.check_condition(bucket, key, headers)
        if self.fault.get("action") == "late_error":
            return 200, {}, self.error(self.fault["code"], "We encountered an internal error.")
        parts = [upload["parts"][n] for n in numbers]
        etag = self.etag_of_all(parts)
        self.store.objects[bucket, key] = {"data": b"".join(parts), "owner": upload["owner"],
                                           "etag": etag}
        del self.store.uploads[query["uploadId"]]
        quoted = escape(etag, {'"': "&quot;"})
        etag = "" if self.fault.get("action") == "no_etag" else f"<ETag>{quoted}</ETag>"
        return 200, {}, ("<CompleteMultipartUploadResult xmlns='http://s3.amazonaws.com/doc/"
                         f"2006-03-01/'>{etag}</CompleteMultipartUploadResult>").encode()

    def on_AbortUpload(self, bucket, key, query, headers, body):
        self.upload(query)
        del self.store.uploads[query["uploadId"]]
        return 204, {}

    def on_ListUploads(self, bucket, key, query, headers, body):
        found = sorted((u["key"], i) for i, u in self.store.uploads.items()
                       if u["bucket"] == bucket and u["key"].startswith(query.get("prefix", "")))
        after = query.get("key-marker", ""), query.get("upload-id-marker", "")
        page = [entry for entry in found if entry > after][:2]  # small pages: clients must turn them
        more = bool(page) and page[-1] != found[-1]
        uploads = "".join(
            f"<Upload><Key>{escape(k)}</Key><UploadId>{i}</UploadId>"
            f"<Initiated>{self.store.uploads[i]['initiated']}</Initiated></Upload>" for k, i in page)
        markers = f"<NextKeyMarker>{escape(page[-1][0])}</NextKeyMarker><NextUploadIdMarker>" \
                  f"{page[-1][1]}</NextUploadIdMarker>" if more else ""
        return 200, {}, (f"<ListMultipartUploadsResult>{markers}<IsTruncated>{str(more).lower()}"
                         f"</IsTruncated>{uploads}</ListMultipartUploadsResult>").encode()

    def on_PutObject(self, bucket, key, query, headers, body):
        self.check_condition(bucket, key, headers)
        etag = self.etag(body)
        self.store.objects[bucket, key] = {"data": body, "etag": etag,
                                           "owner": headers.get("x-amz-meta-seedlm-job", "")}
        return 200, {"ETag": etag}

    def object(self, bucket, key):
        if (bucket, key) not in self.store.objects:
            raise Refusal(404, "NoSuchKey", "The specified key does not exist.")
        return self.store.objects[bucket, key]

    def on_HeadObject(self, bucket, key, query, headers, body):
        found = self.object(bucket, key)
        return 200, {"Content-Length": str(len(found["data"])), "ETag": found["etag"],
                     "x-amz-meta-seedlm-job": found["owner"]}

    def on_GetObject(self, bucket, key, query, headers, body):
        data = self.object(bucket, key)["data"]
        wanted = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
        if not wanted:
            return 200, {}, data
        return 206, {}, data[int(wanted[1]):int(wanted[2]) + 1]

    def on_DeleteObject(self, bucket, key, query, headers, body):
        self.store.objects.pop((bucket, key), None)
        return 204, {}

    def on_ListObjects(self, bucket, key, query, headers, body):
        keys = sorted(k for b, k in self.store.objects if b == bucket and
                      k.startswith(query.get("prefix", "")))[:int(query.get("max-keys", 1000))]
        contents = "".join(f"<Contents><Key>{escape(k)}</Key></Contents>" for k in keys)
        return 200, {}, f"<ListBucketResult>{contents}</ListBucketResult>".encode()


class Server(socketserver.ThreadingMixIn, http.server.HTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def __init__(self, address, store):
        super().__init__(address, type("BoundHandler", (Handler,), {"store": store}))
        self.store = store
        self.connections = set()

    def get_request(self):
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address

    def shutdown_request(self, request):
        self.connections.discard(request)
        super().shutdown_request(request)

    def end(self):
        """Takes no more connections and cuts those there are."""
        self.shutdown()
        self.server_close()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        pass  # a client that was killed in the middle of a request


def start(buckets, port=0, store=None):
    """A server on loopback, its threads running; .server_address[1] is the port. `store`: what an
    earlier one had."""
    server = Server(("127.0.0.1", port), store or Store(buckets))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--bucket", action="append", default=[])
    arguments = parser.parse_args()
    server = start(arguments.bucket)
    print(server.server_address[1], flush=True)
    try:
        input()  # until whoever started it has gone
    except EOFError:
        pass


if __name__ == "__main__":
    main()
