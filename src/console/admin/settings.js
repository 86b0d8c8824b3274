import { h } from "./dom.js";
import { panel, table } from "./parts.js";

export const title = "Settings";

export function open({ call, show, params }) {
  let all;
  let filter = params.get("search") ?? "";
  let changed = true;
  const filterBy = (text) => {
    filter = text;
    show();
  };
  return {
    async load() {
      all = (await call("settings")).settings.flatMap(leaves);
    },
    view() {
      if (!all) return undefined;
      const rows = all.filter(
        ({ key, standard }) => key.toLowerCase().includes(filter.toLowerCase()) && !(changed && standard),
      );
      return [
        h("h1", { "data-key": "title" }, "Settings"),
        h(
          "form",
          {
            class: "line",
            role: "search",
            onsubmit: (event) => event.preventDefault(),
            "data-key": "search",
          },
          h(
            "div",
            { class: "field" },
            h("label", { for: "filter" }, "Part of the name"),
            h("input", {
              id: "filter",
              type: "search",
              value: filter,
              spellcheck: "false",
              oninput: ({ target }) => filterBy(target.value),
            }),
          ),
          h(
            "label",
            { class: "check" },
            h("input", {
              type: "checkbox",
              checked: true,
              onchange: ({ target }) => {
                changed = target.checked;
                show();
              },
            }),
            "Without defaults",
          ),
        ),
        panel(
          { title: "In force on this instance", fact: `${rows.length} of ${all.length}` },
          table({
            caption: "Settings in force",
            columns: [
              { label: "Setting", cell: ({ key, doc }) => [key, doc && h("small", { class: "doc" }, doc)] },
              { label: "Value", text: true, wide: true, cell: ({ value }) => h("code", {}, value) },
              { label: "Is", text: true, cell: ({ standard }) => (standard ? "default" : "set") },
            ],
            rows,
            key: ({ key }) => key,
            empty: "No setting has this in its name.",
          }),
        ),
      ];
    },
  };
}

/** One row for each rule of a namespace. */
function leaves({ key, value, standard, doc }) {
  if (typeof value === "object" && value !== null && !Array.isArray(value) && key.startsWith("namespaces.")) {
    return Object.entries(value).flatMap(([name, own]) =>
      leaves({ key: `${key}.${name}`, value: own, standard }),
    );
  }
  return [
    {
      key,
      standard,
      doc,
      value:
        value === null || value === undefined
          ? "–"
          : typeof value === "string"
            ? value
            : JSON.stringify(value),
    },
  ];
}
