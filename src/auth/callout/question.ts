/** An object as JSON with members whose values are JSON texts already; what is undefined or empty is left out. */
export function jsonObject(members: object, texts: Readonly<Record<string, string | undefined>>): string {
  let json = JSON.stringify(members).slice(0, -1);
  for (const [name, text] of Object.entries(texts)) {
    if (text === undefined || text === "") continue;
    json += `${json === "{" ? "" : ","}${JSON.stringify(name)}:${text}`;
  }
  return `${json}}`;
}
