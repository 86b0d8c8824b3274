import { expect, test } from "bun:test";
import Pusher from "pusher";
import {
  bodyMd5,
  channelText,
  requestText,
  sign,
  signinText,
  splitAuth,
  verify,
} from "../../src/pusher/signature.ts";

const key = "278d425bdf160c739803";
const secret = "7ad3773142a6692b25b8";
const member = '{"user_id":10,"user_info":{"name":"Mr. Channels"}}';
const body = '{"name":"foo","channels":["project-3"],"data":"{\\"some\\":\\"data\\"}"}';

// Keys and texts of Pusher's documentation.
const VECTORS = [
  [
    channelText("1234.1234", "private-foobar"),
    "58df8b0c36d6982b82c3ecf6b4662e34fe8c25bba48f5369f135bf843651c3a4",
  ],
  [
    channelText("1234.1234", "presence-foobar", member),
    "31935e7d86dba64c2a90aed31fdc61869f9b22ba9d8863bba239c03ca481bc80",
  ],
  [
    signinText("1234.1234", '{"id":"12345"}'),
    "4708d583dada6a56435fb8bc611c77c359a31eebde13337c16ab43aa6de336ba",
  ],
  [
    requestText(
      "post",
      "/apps/3/events",
      new URLSearchParams({
        body_md5: bodyMd5(body),
        auth_version: "1.0",
        Auth_Timestamp: "1353088179",
        auth_key: key,
        auth_signature: "not part of it",
      }),
    ),
    "da454824c97ba181a32ccc17a72625ba02771f50b50e1e7430e47a1f3f457e6c",
  ],
] as const;

test.each(VECTORS)("the signature of %j", (text, signature) => {
  expect(sign(secret, text)).toBe(signature);
  expect(verify(secret, text, signature)).toBe(true);
  expect(verify("another secret", text, signature)).toBe(false);
  expect(verify(secret, `${text} `, signature)).toBe(false);
});

test.each(["", "58df", "zz".repeat(32), "5".repeat(63), "5".repeat(65), "é".repeat(32)])(
  "%j is no signature",
  (signature) => {
    expect(verify(secret, "text", signature)).toBe(false);
  },
);

test("several values of one parameter are joined by commas, names are lower-cased and sorted", () => {
  const query = new URLSearchParams("b=2&A[]=x y&a[]=z&auth_signature=s");
  expect(requestText("GET", "/apps/1/channels", query)).toBe("GET\n/apps/1/channels\na[]=x y,z&b=2");
});

test("the stock server SDK signs the same", () => {
  const sdk = new Pusher({ appId: "3", key, secret, host: "127.0.0.1" });
  expect(sdk.authorizeChannel("1234.1234", "private-foobar").auth).toBe(
    `${key}:${sign(secret, channelText("1234.1234", "private-foobar"))}`,
  );
  const { auth, user_data } = sdk.authenticateUser("1234.1234", { id: "12345" });
  const { key: named, signature } = splitAuth(auth)!;
  expect(named).toBe(key);
  expect(verify(secret, signinText("1234.1234", user_data!), signature)).toBe(true);
});

test.each(["", "key", ":signature"])("%j is no auth", (auth) => {
  expect(splitAuth(auth)).toBeUndefined();
});
