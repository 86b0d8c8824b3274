import { expect, test } from "bun:test";
import { isNear } from "../../src/core/meant.ts";

test.each([
  ["chat:rooom", "chat:room"],
  ["chat:romm", "chat:room"],
  ["chat:room", "chat:Room"],
  ["chta:room", "chat:room"],
  ["chatroom", "chat:room"],
  ["chat.room", "chat:room"],
  ["chat:anouncments.42", "chat:announcements.42"],
  ["caht:room.42", "chat:room.42"],
])("%s may be meant for %s", (one, other) => {
  expect([isNear(one, other), isNear(other, one)]).toEqual([true, true]);
});

test.each([
  ["chat:room", "chat:room"],
  ["chat:room.1", "chat:room.3"],
  ["chat:room.1", "chat:room.12"],
  ["chat:a", "chat:b"],
  ["user:ann", "user:ana"],
  ["chat:u7f3a", "chat:u7f3b"],
  ["chat:room", "news:room"],
  ["chat:room", "chat:lobby"],
  ["chat:room.a", "chat:room"],
  ["c".repeat(300), "c".repeat(301)],
])("%s is another one than %s", (one, other) => {
  expect([isNear(one, other), isNear(other, one)]).toEqual([false, false]);
});
