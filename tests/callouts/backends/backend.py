"""A backend that answers callouts, of Python's standard library alone. Prints its port."""

import json
import re
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PERMITTED = re.compile(r"session=ann|Bearer ann")


def connect(asked, headers):
    shown = f"{headers.get('Cookie', '')} {headers.get('Authorization', '')}"
    if not PERMITTED.search(shown):
        return {"disconnect": {"code": 4501, "reason": "who?"}}
    return {
        "result": {
            "user": "ann",
            "expire_at": int(time.time()) + 2,
            "info": {"name": "Ann"},
            "data": {"hello": "ann"},
            "meta": {"plan": "pro"},
        }
    }


def refresh(asked, headers):
    if asked.get("meta", {}).get("plan") != "pro":
        return {"result": {"expired": True}}
    return {"result": {"expire_at": int(time.time()) + 3600}}


def subscribe(asked, headers):
    if asked["channel"] == "asked:plain":
        return {"result": {}}
    if asked["channel"] != "asked:open":
        return {"error": {"code": 403, "message": "closed"}}
    return {"result": {"info": {"seat": 7}, "data": {"welcome": True}, "expire_at": int(time.time()) + 2}}


def sub_refresh(asked, headers):
    return {"result": {"expired": True}}


def publish(asked, headers):
    if asked["data"]["text"] == "bad":
        return {"error": {"code": 400, "message": "no"}}
    return {"result": {"data": {"text": asked["data"]["text"].upper(), "by": asked["user"]}}}


def rpc(asked, headers):
    if asked["method"] != "sum":
        return None
    return {"result": {"data": {"sum": asked["data"]["a"] + asked["data"]["b"]}}}


EVENTS = {f.__name__: f for f in (connect, refresh, subscribe, sub_refresh, publish, rpc)}


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        answer = EVENTS[self.path.strip("/")](json.loads(body), self.headers)
        content = json.dumps(answer).encode()
        self.send_response(500 if answer is None else 200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_):
        pass


if __name__ == "__main__":
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()
