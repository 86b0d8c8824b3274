/**
 * The world's land as dots, a row for each 2.5° of latitude from 76.25° north on; in a row a bit for each 2.5° of
 * longitude from 180° west on, in hexadecimal. Made from Natural Earth (public domain), 1:110 million.
 */
const ROWS = [
  "00000018ff007fff00000003001ff801d000",
  "00000375af003ffe0000000408fffff0c000",
  "01fe007f23783ffe0000f0001bffffffff08",
  "c3fffff7fe5c1fe00003ff1ffbffffffffff",
  "27fffffffa781f01c00f3cffffffffffffff",
  "03ffffffe2080e00003effffffffffffffbf",
  "07f9ffffc0700000003e4ffffffffffffc60",
  "00601fffe07e000002063fffffffffff0180",
  "02000ffffe7f80000210fffffffffffc0380",
  "000007fffe7fc0000bbfffffffffffff8200",
  "000007fffff8400000ffffffffffffff4000",
  "000003fffffc200001ffffffffffffff0000",
  "000003fffffa000001fbf5e7fffffffe0000",
  "000003fffff000000f9de067fffffff08000",
  "000003ffffc000000f12dff7ffffff608000",
  "000001ffff8000000f041ff3ffffff910000",
  "000000ffffc0000007f007ffffffff070000",
  "0000007fff0000000ffc83ffffffff080000",
  "0000001ff20000000fffffefffffff800000",
  "0000002f810000001ffffbf7ffffff000000",
  "00000017800000003ffffdfa1fffff800000",
  "00000003830000007ffffeff0ff7fc000000",
  "00000003884000007ffffefe07c7c0000000",
  "00000001f80000003ffffe7c0783e0800000",
  "000000001e0000007fffff700301f0800000",
  "00000000060000007fffff80030170800000",
  "00000000022e00003ffffff0030121000000",
  "00000000007f80001ffffff0008000200000",
  "00000000007fe0000d3fffe0000283000000",
  "00000000007ff000000fffc0000146000000",
  "0000000000fff000000fff800000ce000000",
  "0000000000fffe00000fff000000ce870000",
  "0000000001ffff800007ff0000000001c000",
  "0000000000ffffc00007ff0000001801e000",
  "00000000007fffc00007ff00000000401000",
  "00000000007fff800007ff000000000e0000",
  "00000000003fff000007ff100000003c4000",
  "00000000001fff000007fe300000007fc000",
  "00000000000fff000007fc20000000ffe000",
  "00000000000ffe000003fc60000007fff000",
  "00000000000ff8000003fc20000007fff800",
  "00000000000ff8000003f800000003fff800",
  "00000000001ff0000001f000000003fff800",
  "00000000001fe0000001e000000003c3f800",
  "00000000001f80000000000000000001f000",
  "00000000001f80000000000000000000f000",
  "00000000001e000000000000000000000002",
  "00000000003e000000000000000000002008",
  "00000000003c000000000000000000000010",
  "00000000003c000000000000000000000000",
  "000000000038000000000000000000000000",
  "000000000030000000000000000000000000",
  "00000000000c000000000000000000000000",
];

const STEP = 2.5;
const TOP = 76.25;
const BOTTOM = TOP - ROWS.length * STEP;

/** Size of the map, in its own units. */
export const WIDTH = 1000;
/** Taller than the plate carrée it is: the north looks as people know it. */
const STRETCH = 1.4;
export const HEIGHT = Math.round(((TOP - BOTTOM) / 360) * WIDTH * STRETCH);

/** Where a place lies on the map. */
export function place(latitude, longitude) {
  return {
    x: ((longitude + 180) / 360) * WIDTH,
    y: ((TOP - latitude) / (TOP - BOTTOM)) * HEIGHT,
  };
}

/** All land as one path of points, to be stroked with round ends. */
export function landPath() {
  const points = [];
  ROWS.forEach((row, line) => {
    const latitude = TOP - (line + 0.5) * STEP;
    [...row].forEach((digit, group) => {
      const bits = Number.parseInt(digit, 16);
      for (let bit = 0; bit < 4; bit++) {
        if (!(bits & (8 >> bit))) continue;
        const { x, y } = place(latitude, -180 + (group * 4 + bit + 0.5) * STEP);
        points.push(`M${x.toFixed(1)} ${y.toFixed(1)}h0`);
      }
    });
  });
  return points.join("");
}
