import { readFileSync } from "node:fs";
import { join, posix } from "node:path";

interface Item {
  readonly text: string;
  readonly link?: string;
  readonly collapsed?: boolean;
  readonly items?: readonly Item[];
}

/** What docs/README.md lists, by its headings: there is no second list to keep. */
export function sidebar(root: string): Item[] {
  const page = readFileSync(join(root, "docs/README.md"), "utf8");
  const groups = page.split(/^## /m).slice(1);
  return [
    { text: "Trunkline", link: "/" },
    ...groups.map((group, index) => {
      const [text = "", ...lines] = group.split("\n");
      const links = [...lines.join("\n").matchAll(/^- (?:.*?)\[([^\]]+)\]\(([^)]+)\)/gm)];
      return {
        text,
        collapsed: index > 1,
        items: links
          .filter(([, , target]) => /\.md(#|$)/.test(target!))
          .map(([, name, target]) => ({
            text: name!,
            link: `/${posix.join("docs", target!).replace(/\.md\b/, "")}`,
          })),
      };
    }),
    { text: "Examples", link: "/examples/" },
    { text: "Changes", link: "/CHANGELOG" },
  ];
}
