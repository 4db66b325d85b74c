// The entry points: the widget of a notebook, the viewers of a saved page, and the drawing classes for tests.

import { Canvas } from "./canvas";
import { h } from "./dom";
import { KernelHost, type Page, PageHost } from "./host";
import { Painter } from "./painter";
import { scaled } from "./picture";
import { Viewer } from "./viewer";

type Model = ConstructorParameters<typeof KernelHost>[0];

function render({ model, el }: { model: Model; el: HTMLElement }): () => void {
  const viewer = new Viewer(el, new KernelHost(model));
  Object.assign(el, { viewer });
  return () => viewer.dispose();
}

// The viewers of a page, each below the name of its video.
export function mount(el: HTMLElement, pages: Page[]): void {
  for (const page of pages) {
    const section = h("section", {}, h("h1", {}, page.meta.name));
    el.append(section);
    new Viewer(section, new PageHost(page));
  }
}

export { Canvas, Painter, scaled };
export default { render };
