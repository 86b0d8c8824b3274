/** See `messages.js`. */
export function placeOf(offset: number): number;
