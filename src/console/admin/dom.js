const SVG = "http://www.w3.org/2000/svg";

/**
 * Makes an element. @param props attributes; `on…` are listeners, `style` custom properties by name, what is `false` or
 * absent is left out @param children nodes, texts, lists of them; nothing of what is `false` or absent
 */
export function h(name, props, ...children) {
  return build(document.createElement(name), props, children);
}

/** The same, of SVG. */
export function svg(name, props, ...children) {
  return build(document.createElementNS(SVG, name), props, children);
}

function build(element, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === false || value === undefined || value === null) continue;
    if (name.startsWith("on")) element[name] = value;
    else if (name === "style")
      for (const [key, own] of Object.entries(value)) element.style.setProperty(key, own);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...flat(children));
  return element;
}

const flat = (children) =>
  children.flat(Infinity).filter((child) => child !== undefined && child !== null && child !== false);

/** Listeners that elements here have. */
const LISTENERS = ["onclick", "onsubmit", "oninput", "onchange"];
/** What belongs to whoever uses the page, not to its state. */
const OWN = new Set(["open", "value", "checked"]);

/**
 * Makes what is in `parent` like `children`, and leaves alone what is alike: focus, what is typed, what is folded open. Elements
 * with the same `data-key` are the same.
 */
export function render(parent, ...children) {
  let at = parent.firstChild;
  for (const child of flat(children)) {
    const node = typeof child === "object" ? child : document.createTextNode(child);
    const found = isSame(at, node) ? at : keyed(at, node);
    if (!found) parent.insertBefore(node, at);
    else {
      if (found === at) at = at.nextSibling;
      else parent.insertBefore(found, at);
      update(found, node);
    }
  }
  while (at) {
    const next = at.nextSibling;
    at.remove();
    at = next;
  }
}

const keyOf = (node) => node.dataset?.key;

function isSame(old, node) {
  return old && old.nodeName === node.nodeName && keyOf(old) === keyOf(node);
}

function keyed(from, node) {
  if (keyOf(node) === undefined) return undefined;
  for (let old = from; old; old = old.nextSibling) if (isSame(old, node)) return old;
  return undefined;
}

function update(old, node) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.nodeValue !== node.nodeValue) old.nodeValue = node.nodeValue;
    return;
  }
  for (const { name } of [...old.attributes]) {
    if (!node.hasAttribute(name) && !OWN.has(name)) old.removeAttribute(name);
  }
  for (const { name, value } of [...node.attributes]) {
    if (OWN.has(name) || old.getAttribute(name) === value) continue;
    if (name === "style") old.style.cssText = node.style.cssText;
    else old.setAttribute(name, value);
  }
  for (const name of LISTENERS) if (old[name] !== node[name]) old[name] = node[name];
  render(old, [...node.childNodes]);
}
