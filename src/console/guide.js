/** What one can try here, step by step: each step is ticked when it has happened. */
export class Guide {
  #list;

  /** @param list its items name their step in `data-step` */
  constructor(list) {
    this.#list = list;
  }

  /** Idempotent. */
  tick(step) {
    const item = this.#list.querySelector(`[data-step="${step}"]`);
    if (item.dataset.done) return;
    item.dataset.done = "true";
    const said = document.createElement("span");
    said.className = "unseen";
    said.textContent = ", done";
    item.append(said);
  }

  clear() {
    for (const item of this.#list.children) {
      delete item.dataset.done;
      item.querySelector(".unseen")?.remove();
    }
  }
}
