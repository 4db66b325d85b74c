// Functions that create HTML elements in one line, and the icons.

type Child = Node | string;

export function h<Tag extends keyof HTMLElementTagNameMap>(
  tag: Tag,
  attributes: Record<string, string | boolean | ((event: never) => void)> = {},
  ...children: Child[]
): HTMLElementTagNameMap[Tag] {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === "function") element.addEventListener(name, value as EventListener);
    else if (typeof value === "boolean") element.toggleAttribute(name, value);
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

const ICONS = {
  play: "M7 4v16l13-8z",
  pause: "M6 4h4v16H6zM14 4h4v16h-4z",
  back: "M16 5v14L6 12z",
  on: "M8 5v14l10-7z",
  far_back: "M20 5v14l-8-7zM11 5v14l-8-7z",
  far_on: "M4 5v14l8-7zM13 5v14l8-7z",
  settings: "M4 6h9v2H4zM17 6h3v2h-3zM13 4h3v6h-3zM4 16h3v2H4zM11 16h9v2h-9zM7 14h3v6H7z",
  note: "M6 3h12v18l-6-5-6 5z",
  full: "M4 4h6v2H6v4H4zM14 4h6v6h-2V6h-4zM4 14h2v4h4v2H4zM18 14h2v6h-6v-2h4z",
  save: "M11 3h2v9h3l-4 5-4-5h3zM4 18h16v3H4z",
  help: "M12 2a10 10 0 100 20 10 10 0 000-20zm1 16h-2v-2h2zm2-7.2c-.9 1-2 1.500-2 3.200h-2c0-2.300 1.200-3.200 2-4 .6-.6 1-1 1-1.600a2 2 0 00-4 0H8a4 4 0 018 0c0 1-.4 1.800-1 2.400z",
  region: "M4 4h5v2H6v3H4zM15 4h5v5h-2V6h-3zM4 15h2v3h3v2H4zM18 15h2v5h-5v-2h3zM11 8h2v3h3v2h-3v3h-2v-3H8v-2h3z",
  loop: "M17 2l4 4-4 4V7H7v4H5V5h12zM7 22l-4-4 4-4v3h10v-4h2v6H7z",
};

export type Icon = keyof typeof ICONS;

export function icon(name: Icon): SVGSVGElement {
  const space = "http://www.w3.org/2000/svg";
  const svg = document.createElementNS(space, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS(space, "path");
  path.setAttribute("d", ICONS[name]);
  svg.append(path);
  return svg;
}

export function button(title: string, pressed: () => void, ...children: Child[]): HTMLButtonElement {
  return h("button", { type: "button", title, click: pressed }, ...children);
}

// A button with an icon only: its title is its accessible label, too.
export function tool(sign: Icon | "×", label: string, pressed: () => void): HTMLButtonElement {
  const made = button(label, pressed, sign === "×" ? sign : icon(sign));
  made.setAttribute("aria-label", label);
  return made;
}

export function labelled(...children: Child[]): HTMLLabelElement {
  return h("label", { class: "tinyhd-choice" }, ...children);
}

export function choice(
  label: string,
  title: string,
  options: string[],
  chosen: (value: string) => void,
): { root: HTMLLabelElement; select: HTMLSelectElement } {
  const select = h("select", { title, "aria-label": label }, ...options.map((each) => h("option", { value: each }, each)));
  select.addEventListener("change", () => chosen(select.value));
  return { root: labelled(h("span", {}, label), select), select };
}

export function fraction(
  label: string,
  title: string,
  most: number,
  moved: (value: number) => void,
): { root: HTMLLabelElement; input: HTMLInputElement; output: HTMLOutputElement } {
  const input = h("input", { type: "range", min: "0", max: String(most), step: "0.05", title, "aria-label": label });
  const output = h("output", {});
  input.addEventListener("input", () => moved(Number(input.value)));
  return { root: labelled(h("span", {}, label), input, output), input, output };
}

export function toggle(
  label: string,
  title: string,
  changed: (on: boolean) => void,
): { root: HTMLLabelElement; input: HTMLInputElement } {
  const input = h("input", { type: "checkbox", title, "aria-label": label });
  input.addEventListener("change", () => changed(input.checked));
  return { root: labelled(input, h("span", {}, label)), input };
}
