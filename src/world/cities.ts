/** Where a region may be: its code is that of an airport nearby, as Fly and others name their regions. */
export interface City {
  readonly code: string;
  readonly city: string;
  /** Degrees, north and east positive. */
  readonly latitude: number;
  readonly longitude: number;
}

/** In the order in which `--regions <number>` takes them: the first three are an ocean apart from each other. */
const CITIES: readonly City[] = [
  { code: "iad", city: "Ashburn", latitude: 39.0, longitude: -77.5 },
  { code: "fra", city: "Frankfurt", latitude: 50.1, longitude: 8.7 },
  { code: "sin", city: "Singapore", latitude: 1.35, longitude: 103.8 },
  { code: "gru", city: "São Paulo", latitude: -23.5, longitude: -46.6 },
  { code: "nrt", city: "Tokyo", latitude: 35.7, longitude: 139.7 },
  { code: "syd", city: "Sydney", latitude: -33.9, longitude: 151.2 },
  { code: "sjc", city: "San Jose", latitude: 37.3, longitude: -121.9 },
  { code: "jnb", city: "Johannesburg", latitude: -26.2, longitude: 28.0 },
];

export const MOST_REGIONS = CITIES.length;

/**
 * Round trips between data centres, ms, as public tables of cloud providers' networks give them, rounded; good for a
 * likeness, no promise of any network.
 */
const ROUND_TRIPS_MS: Readonly<Record<string, number>> = {
  "fra-iad": 90,
  "iad-sin": 220,
  "fra-sin": 160,
  "gru-iad": 115,
  "fra-gru": 205,
  "iad-nrt": 160,
  "nrt-sin": 70,
  "fra-nrt": 225,
};

/** Light in glass, km/ms, and how much longer than the great circle cables are. */
const GLASS_KM_PER_MS = 200;
const DETOUR = 1.5;
const EARTH_RADIUS_KM = 6371;

/** The codes there are. */
export const CODES: readonly string[] = CITIES.map(({ code }) => code);

/** The city of a code; `undefined` for one that is not in the table. */
export function cityOf(code: string): City | undefined {
  return CITIES.find((city) => city.code === code);
}

/** Round trip between two cities, ms: from the table, else from the distance. */
export function roundTripMs(a: City, b: City): number {
  const known = ROUND_TRIPS_MS[pairOf(a.code, b.code)];
  return known ?? Math.round((2 * distanceKm(a, b) * DETOUR) / GLASS_KM_PER_MS);
}

/** Both names in one order. */
export function pairOf(a: string, b: string): string {
  return a < b ? `${a}-${b}` : `${b}-${a}`;
}

/** Along the great circle (the haversine formula). */
function distanceKm(a: City, b: City): number {
  const radians = (degrees: number) => (degrees * Math.PI) / 180;
  const half = (from: number, to: number) => Math.sin(radians(to - from) / 2) ** 2;
  const chord =
    half(a.latitude, b.latitude) +
    Math.cos(radians(a.latitude)) * Math.cos(radians(b.latitude)) * half(a.longitude, b.longitude);
  return 2 * EARTH_RADIUS_KM * Math.asin(Math.sqrt(chord));
}
