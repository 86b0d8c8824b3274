import { describe, expect, test } from "bun:test";
import fc from "fast-check";
import { isSampled, readTraceContext, traceHeaders, traceIdOf } from "../../src/core/trace-context.ts";
import { SAMPLED, TRACE_ID, UNSAMPLED } from "../helpers/spans.ts";

const ID = "00f067aa0ba902b7";

describe("a traceparent", () => {
  test("is taken as it is", () => {
    for (const traceparent of [SAMPLED, UNSAMPLED]) {
      expect(readTraceContext(traceparent)).toEqual({ traceparent });
      expect(traceIdOf(readTraceContext(traceparent)!)).toBe(TRACE_ID);
    }
    expect(isSampled({ traceparent: SAMPLED })).toBe(true);
    expect(isSampled({ traceparent: UNSAMPLED })).toBe(false);
    // The other flags say nothing of it.
    expect(isSampled({ traceparent: `00-${TRACE_ID}-${ID}-03` })).toBe(true);
    expect(isSampled({ traceparent: `00-${TRACE_ID}-${ID}-fe` })).toBe(false);
  });

  test("of a later version counts with what this one knows of it", () => {
    expect(readTraceContext(`cc-${TRACE_ID}-${ID}-01-what.comes`)).toEqual({ traceparent: SAMPLED });
    expect(readTraceContext(`01-${TRACE_ID}-${ID}-01`)).toEqual({ traceparent: SAMPLED });
  });

  test.each([
    ["no text", ""],
    ["of a version that there never is", `ff-${TRACE_ID}-${ID}-01`],
    ["with more than its version has", `${SAMPLED}-more`],
    ["with more, and nothing between", `cc-${TRACE_ID}-${ID}-01more`],
    ["without a trace", `00-${"0".repeat(32)}-${ID}-01`],
    ["without a caller", `00-${TRACE_ID}-${"0".repeat(16)}-01`],
    ["in capitals", SAMPLED.toUpperCase()],
    ["with a space", ` ${SAMPLED}`],
    ["with a line break", `${SAMPLED}\r\nNats-Msg-Id: x`],
    ["with a line break at its end", `${SAMPLED}\n`],
    ["given twice", `${SAMPLED}, ${SAMPLED}`],
    ["too long", `cc-${TRACE_ID}-${ID}-01-${"x".repeat(300)}`],
    ["too short", SAMPLED.slice(0, -1)],
  ])("%s is none", (_, traceparent) => {
    expect(readTraceContext(traceparent)).toBeUndefined();
  });

  test("whatever comes, what is handed on can be written into a header", () => {
    const almost = fc.stringMatching(/^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}.{0,3}$/s);
    fc.assert(
      fc.property(fc.oneof(fc.string(), almost), fc.string(), (traceparent, tracestate) => {
        const context = readTraceContext(traceparent, tracestate);
        for (const value of Object.values(traceHeaders(context))) expect(value).toMatch(/^[\x20-\x7e]+$/);
      }),
    );
  });
});

describe("a tracestate", () => {
  const stateOf = (tracestate: string) => readTraceContext(SAMPLED, tracestate)?.tracestate;

  test.each(["rojo=00f067aa0ba902b7", "rojo=1,congo=t61rcWkgMzE", "a/b@c=x", "1a@b=x y", "a=b, c=d"])(
    "%s is handed on",
    (state) => {
      expect(stateOf(state)).toBe(state);
    },
  );

  test.each([
    ["no member", "x"],
    ["an empty value", "a="],
    ["an empty member", "a=b,,c=d"],
    ["a capital in a key", "A=b"],
    ["what no header may have", "a=b\r\nx: y"],
    ["letters beyond ASCII", "a=é"],
    ["more than 32 members", Array.from({ length: 33 }, (_, n) => `k${n}=v`).join()],
    ["more than 512 characters", `a=${"x".repeat(250)},b=${"x".repeat(250)},c=${"x".repeat(20)}`],
  ])("with %s is left out, and the trace goes on", (_, state) => {
    expect(readTraceContext(SAMPLED, state)).toEqual({ traceparent: SAMPLED });
  });
});
