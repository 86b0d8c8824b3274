import { expect, test } from "bun:test";
import { Closes } from "../../src/core/errors.ts";
import { TOO_BIG } from "../../src/runtime/runtime.ts";
import { startGateway } from "./fixture.ts";
import { stoppedClock } from "./time.ts";

test("whoever speaks something else, or too much at once, is told so, and the log once a minute", async () => {
  using clock = stoppedClock();
  await using gateway = await startGateway();
  const told = () => gateway.logged.filter(({ message }) => message === "client made a mistake");
  for (let n = 0; n < 3; n++) {
    const client = gateway.centrifuge();
    client.socket.data.message(client.socket, '{"id":1,"params":{"token":"t"}}');
    expect(client.socket.closed).toEqual({
      code: Closes.badRequest.code,
      reason: "bad request: protocol v1, and v2 is spoken here: update the SDK",
    });
  }
  expect(told().map(({ level }) => level)).toEqual(["info", "debug", "debug"]);
  await clock.advance(61_000);
  const client = gateway.centrifuge();
  client.socket.end(1006, TOO_BIG); // as both runtimes say it
  expect(told().map(({ level }) => level)).toEqual(["info", "debug", "debug", "info"]);
});
