"""What a service in Python does: publishes, answers an RPC, reads events. Arguments: url, login, role."""

import asyncio
import json
import sys

import nats
from nats.errors import TimeoutError as NatsTimeout


async def main(url: str, login: str, role: str) -> None:
    violations = []

    async def failed(error: Exception) -> None:
        violations.append(str(error))

    options = {"inbox_prefix": f"rtinbox.{role}", "error_cb": failed}
    if login.endswith(".creds"):
        options["user_credentials"] = login
    else:
        options.update(user=role, password=login)
    nc = await nats.connect(url, **options)
    result = None
    if role == "publisher":
        ack = await nc.jetstream().publish("rt.chat.python", b'{"from":"python"}')
        result = ack.stream
    elif role == "rpc":
        asked = asyncio.get_running_loop().create_future()

        async def answer(message) -> None:
            await message.respond(b'{"from":"python"}')
            asked.set_result(message.subject)

        await nc.subscribe("rtrpc.python", "orders", cb=answer)
        await nc.flush()
        print("ready", flush=True)
        result = await asyncio.wait_for(asked, 20)
        await nc.flush()
    else:
        events = await nc.jetstream().pull_subscribe("rtevt.>", durable=role, stream="RT_EVENTS")
        try:
            (message,) = await events.fetch(1, timeout=5)
            await message.ack_sync()
            result = message.subject
        except NatsTimeout:
            result = None
    await nc.close()
    print(json.dumps({"result": result, "violations": violations}), flush=True)


asyncio.run(main(*sys.argv[1:4]))
