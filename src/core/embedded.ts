/**
 * Files that travel inside the program when it is compiled into one file, by their path from `src`; values are paths that
 * can be read. Empty where the program runs from its sources. Filled by the entry that `deploy/binary.ts` makes.
 */
export const embeddedFiles: Map<string, string> = new Map();

/** The browser library among them. */
export const CLIENT_LIBRARY = "centrifuge.js";
