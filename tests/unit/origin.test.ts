import { expect, test } from "bun:test";
import { originPolicy } from "../../src/http/origin.ts";

const allows = originPolicy(["https://app.example.com", "http://localhost:5173", "capacitor://localhost"]);
const HOST = "rt.example.com";

test.each([
  "https://app.example.com",
  "https://APP.example.com",
  "https://app.example.com:443",
  "http://localhost:5173",
  "capacitor://localhost",
])("%s is listed", (origin) => {
  expect(allows(origin, HOST)).toBe(true);
});

test.each([
  ["another scheme", "http://app.example.com"],
  ["another port", "https://app.example.com:8443"],
  ["the port of another scheme", "https://app.example.com:80"],
  ["a longer name behind", "https://app.example.com.evil.test"],
  ["a longer name in front", "https://evilapp.example.com"],
  ["a subdomain", "https://x.app.example.com"],
  ["the parent domain", "https://example.com"],
  ["null", "null"],
  ["nothing", ""],
  ["a path", "https://app.example.com/"],
  ["user information", "https://app.example.com@evil.test"],
  ["the listed one as user information", "https://evil.test#@app.example.com"],
  ["a backslash", "https://evil.test\\.app.example.com"],
  ["two origins", "https://app.example.com https://evil.test"],
  ["a list of origins", "https://evil.test,https://app.example.com"],
  ["no scheme", "app.example.com"],
  ["a trailing dot", "https://app.example.com."],
  ["another app", "capacitor://evil"],
])("%s is refused", (_what, origin) => {
  expect(allows(origin, HOST)).toBe(false);
});

test("requests without an origin come from no browser", () => {
  expect(allows(null, HOST)).toBe(true);
});

test("pages of the very host are allowed, whatever ends TLS in front of it", () => {
  expect(allows("https://rt.example.com", "rt.example.com")).toBe(true);
  expect(allows("https://rt.example.com", "RT.example.com:443")).toBe(true);
  expect(allows("http://rt.example.com:8080", "rt.example.com:8080")).toBe(true);
  expect(allows("https://rt.example.com", "rt.example.com:8443")).toBe(false);
  expect(allows("https://rt.example.com:8443", "rt.example.com")).toBe(false);
  expect(allows("https://evil.test", "rt.example.com")).toBe(false);
  expect(allows("null", "null")).toBe(false);
  expect(allows("https://evil.test", "x@evil.test")).toBe(false);
});

test("* lists everybody", () => {
  expect(originPolicy(["*"])("null", HOST)).toBe(true);
});

test("what is no origin cannot be listed", () => {
  expect(() => originPolicy(["https://app.example.com/path"])).toThrow("not an origin");
});
