import { h } from "./dom.js";

/**
 * Asks before something is done. Resolves with what the fields hold (an object), or `undefined` when it is not to be done.
 * @param fields elements with names, made by `field` of parts.js
 */
export function ask({ title, text, label, danger = true, fields = [] }) {
  return new Promise((resolve) => {
    let answer;
    const submit = (event) => {
      event.preventDefault();
      answer = Object.fromEntries(new FormData(event.target));
      dialog.close();
    };
    const dialog = h(
      "dialog",
      { class: "ask", "aria-labelledby": "ask-title" },
      h(
        "form",
        { onsubmit: submit },
        h("h2", { id: "ask-title" }, title),
        text && h("p", { class: "help" }, text),
        fields,
        h(
          "div",
          { class: "buttons" },
          h("button", { class: "quiet", type: "button", onclick: () => dialog.close() }, "Cancel"),
          h("button", { class: danger ? "danger" : "primary", type: "submit" }, label),
        ),
      ),
    );
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(answer);
    });
    document.body.append(dialog);
    dialog.showModal();
  });
}
