// What the page and the notebook load: a widget, a viewer on a page of its own, and what draws, for tests.

import { Canvas } from "./canvas";
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

export function mount(el: HTMLElement, page: Page): Viewer {
  return new Viewer(el, new PageHost(page));
}

export { Canvas, Painter, scaled };
export default { render };
