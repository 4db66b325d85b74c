// A status line, and a progress bar for long operations.

import { button, h } from "./dom";

export class Status {
  readonly root: HTMLElement;
  private line = h("div", { class: "tinyhd-status", role: "status", "aria-live": "polite" });
  private bar = h("progress", { hidden: true, "aria-label": "Progress" });
  private cancel: HTMLButtonElement;

  constructor(cancelled: () => void) {
    this.cancel = button("Stop this; nothing is kept of it", cancelled, "cancel");
    this.cancel.hidden = true;
    this.root = h("div", { class: "tinyhd-told" }, this.line, this.bar, this.cancel);
  }

  tell(text: string): void {
    if (this.line.textContent !== text) this.line.textContent = text; // else a screen reader repeats it
  }

  // Show the progress of an operation; exports can be cancelled.
  progress(what: string, done: number, total: number, isExport = false): void {
    this.bar.hidden = done >= total;
    this.cancel.hidden = this.bar.hidden || !isExport;
    [this.bar.max, this.bar.value] = [total, done];
    if (done < total) this.tell(`${what}: ${Math.floor((100 * done) / total)} %`);
    else this.withdraw(what);
  }

  // Clear the line if it begins with this text, which no longer holds.
  withdraw(text: string): void {
    if (this.line.textContent?.startsWith(text)) this.tell("");
  }

  // Hide the bar: the operation has ended, successfully or not.
  end(): void {
    this.bar.hidden = this.cancel.hidden = true;
  }
}
