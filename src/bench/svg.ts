/* The few words of SVG that the plots are made of. */

/** Colours that stay distinct in grey and for colour-blind readers (Okabe and Ito, 2008). */
export const COLOURS = ["#7f7f7f", "#0072b2", "#e69f00", "#cc79a7", "#009e73", "#d55e00", "#56b4e9"];

/** A whole picture on white, with its title. */
export function picture(title: string, width: number, height: number, drawn: readonly string[]): string {
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}"`,
    ' font-family="system-ui, sans-serif" font-size="11" fill="#222">',
    `<title>${escapeXml(title)}</title><rect width="100%" height="100%" fill="#fff"/>`,
    text(16, 24, title, 'font-size="15" font-weight="600"'),
    ...drawn,
    "</svg>\n",
  ].join("\n");
}

export function text(x: number, y: number, what: string, attributes = ""): string {
  return `<text x="${n(x)}" y="${n(y)}" ${attributes}>${escapeXml(what)}</text>`;
}

/** A coordinate, to a tenth. */
export function n(value: number): string {
  return String(Math.round(value * 10) / 10);
}

function escapeXml(what: string): string {
  return what.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll('"', "&quot;");
}
