// Makes SVG elements as dom.js makes those of HTML.

const SPACE = "http://www.w3.org/2000/svg";

/** `text` becomes the content, null attributes are left out. */
export function svg(tag, attributes = {}, ...children) {
  const element = document.createElementNS(SPACE, tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined) continue;
    if (name === "text") element.textContent = value;
    else element.setAttribute(name, String(value));
  }
  element.append(...children.flat().filter((child) => child !== null && child !== false));
  return element;
}
