import { expect, test } from "bun:test";
import { startGateway } from "./fixture.ts";

test("smoke", async () => {
  await using gateway = await startGateway();
  const a = await gateway.connect("ann");
  const b = await gateway.connect("bob", {}, { protocol: "centrifuge-protobuf" });
  expect(await a.subscribe("chat:x")).toMatchObject({ recoverable: true });
  expect(await b.subscribe("chat:x")).toMatchObject({ recoverable: true });
  expect(await a.ask({ publish: { channel: "chat:x", data: { n: 1 } } })).toEqual({});
  await b.first((message) => message.push);
  expect(b.data()).toEqual([{ n: 1 }]);
  const p = gateway.pusher();
  expect(await p.subscribe("presence-x", { user_id: "1" })).toMatchObject({
    event: "pusher_internal:subscription_succeeded",
  });
});
