const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const short = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });

export const UNKNOWN = "–";

/** A count or rate, as exact as it is of use. */
export function number(value) {
  if (value === undefined) return UNKNOWN;
  if (value >= 100_000) return compact.format(value);
  return value < 10 ? short.format(value) : whole.format(value);
}

const UNITS = ["B", "KiB", "MiB", "GiB", "TiB"];

export function bytes(value) {
  if (value === undefined) return UNKNOWN;
  let unit = 0;
  while (value >= 1024 && unit < UNITS.length - 1) {
    value /= 1024;
    unit++;
  }
  return `${unit === 0 || value >= 100 ? whole.format(value) : short.format(value)} ${UNITS[unit]}`;
}

/** A latency in seconds. */
export function latency(seconds) {
  if (seconds === undefined) return UNKNOWN;
  if (seconds >= 1) return `${short.format(seconds)} s`;
  const ms = seconds * 1000;
  return `${ms < 10 ? short.format(ms) : whole.format(ms)} ms`;
}

export const milliseconds = (ms) => latency(ms / 1000);

/** How long something has been so, of ms. */
export function span(ms) {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds < 120) return `${seconds} s`;
  if (seconds < 7_200) return `${Math.round(seconds / 60)} min`;
  if (seconds < 172_800) return `${Math.round(seconds / 3_600)} h`;
  return `${Math.round(seconds / 86_400)} d`;
}

export const ago = (atMs) => `${span(Date.now() - atMs)} ago`;

export const percent = (share) => `${share > 0 && share < 0.01 ? "< 1" : Math.round(share * 100)} %`;

/** A time of today, or with its day. */
export function clock(atMs) {
  const at = new Date(atMs);
  const today = at.toDateString() === new Date().toDateString();
  return at.toLocaleString("en-GB", {
    ...(!today && { day: "2-digit", month: "short" }),
    ...{ hour: "2-digit", minute: "2-digit", second: "2-digit" },
  });
}

export const plural = (count, one, many = `${one}s`) => `${number(count)} ${count === 1 ? one : many}`;
