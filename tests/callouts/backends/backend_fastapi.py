"""The same backend as an application of FastAPI. Prints its port."""

import socket

import uvicorn
from fastapi import FastAPI, HTTPException, Request

import backend

app = FastAPI()


@app.post("/{event}")
async def answer(event: str, request: Request):
    said = backend.EVENTS[event](await request.json(), request.headers)
    if said is None:
        raise HTTPException(status_code=500)
    return said


if __name__ == "__main__":
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="error")).run(sockets=[listener])
