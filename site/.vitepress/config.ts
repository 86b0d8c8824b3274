import { existsSync, statSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitepress";
import { sidebar } from "./sidebar.ts";

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), "../..");
const SOURCE = "https://github.com/trunkline/trunkline/blob/main/";

/** Pages are the repository's own Markdown files, at their own places, so that one link is right in both. */
export default defineConfig({
  title: "Trunkline",
  description:
    "A realtime edge gateway: stock Centrifuge and Pusher clients, NATS JetStream, Redis presence.",
  srcDir: "..",
  srcExclude: ["{src,tests,deploy,site,bench/control-*,bench/centrifuge-go,types,tmp,.github}/**"],
  outDir: "./dist",
  cacheDir: "./.cache",
  rewrites: (path) => path.replace(/(^|\/)README\.md$/, "$1index.md"),
  cleanUrls: true,
  // What does not lead to a page must lead to a file of the repository, or to this machine: see below.
  ignoreDeadLinks: [/^https?:\/\/localhost/],
  vite: {
    // Pages lie outside of this folder, and its packages inside.
    resolve: { alias: [{ find: /^vue(?=$|\/)/, replacement: resolve(ROOT, "site/node_modules/vue") }] },
    build: { chunkSizeWarningLimit: 4096 },
  },
  themeConfig: {
    search: { provider: "local" },
    outline: [2, 3],
    sidebar: sidebar(ROOT),
    socialLinks: [{ icon: "github", link: "https://github.com/trunkline/trunkline" }],
  },
  markdown: {
    html: false, // what looks like a tag is text, such as `rt.<ns>.<name>`
    config(md) {
      const render = md.render;
      md.render = (text, env) => render.call(md, text.replace(/^<!--[\s\S]*?-->$/gm, ""), env);
      const plain = md.renderer.rules.link_open;
      md.renderer.rules.link_open = (tokens, index, options, env, self) => {
        const token = tokens[index]!;
        const href = token.attrGet("href") ?? "";
        const page = (env as { path?: string; realPath?: string }).realPath ?? (env as { path: string }).path;
        token.attrSet("href", linked(href, page));
        return plain?.(tokens, index, options, env, self) ?? self.renderToken(tokens, index, options);
      };
    },
  },
});

/** READMEs are the index of their folder; files that are no pages are shown where the source is. */
function linked(href: string, page: string): string {
  if (/^([a-z]+:|#)/.test(href)) return href;
  const [file = "", fragment] = href.split("#");
  const target = resolve(dirname(page), decodeURIComponent(file));
  if (!target.endsWith(".md")) {
    if (!existsSync(target)) throw new Error(`${relative(ROOT, page)} links to ${href}, which is not there`);
    const path = relative(ROOT, target);
    return statSync(target).isDirectory() ? SOURCE.replace("/blob/", "/tree/") + path : SOURCE + path;
  }
  return file.replace(/README\.md$/, "index.md") + (fragment === undefined ? "" : `#${fragment}`);
}
