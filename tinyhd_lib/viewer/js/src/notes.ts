// The reader's notes about frames.

import { button, h, tool } from "./dom";
import { csv, download } from "./files";
import type { Meta, Note, Settings } from "./types";

export class Notes {
  readonly root = h("div", { class: "tinyhd-notes" });
  private listed: Note[] = [];

  constructor(
    private meta: Meta,
    private asked: { go(frame: number): void; change(change: Partial<Settings>): void; times(): ArrayLike<number>; leave(): void },
  ) {}

  sync({ notes }: Settings): void {
    if (notes === this.listed) return;
    this.listed = notes;
    const drop = (n: number) => this.asked.change({ notes: notes.filter((_, at) => at !== n) });
    const lines = notes.map(({ frame, text }, n) =>
      h("li", {}, button("Go there", () => this.asked.go(frame), `${frame}`), ` ${text} `, tool("×", `Drop the note at ${frame}`, () => drop(n))),
    );
    const save = button("Save the notes as a table", () => this.save(), "notes as CSV");
    this.root.replaceChildren(...(notes.length ? [h("ul", { "aria-label": "Notes" }, ...lines), save] : []));
  }

  // Ask for the text of a note.
  add(frame: number): void {
    const field = h("input", { type: "text", placeholder: "what is seen here", "aria-label": "Note" });
    const line = h("div", {}, `${frame} `, field);
    this.root.prepend(line);
    field.focus();
    field.addEventListener("keydown", (event) => {
      event.stopPropagation();
      if (event.key !== "Enter" && event.key !== "Escape") return;
      line.remove();
      this.asked.leave();
      const text = field.value.trim();
      if (event.key === "Escape" || !text) return;
      this.asked.change({ notes: [...this.listed, { frame, text }].sort((a, b) => a.frame - b.frame) });
    });
  }

  private save(): void {
    const lines = this.listed.map(({ frame, text }) => [`${frame}`, (this.asked.times()[frame] ?? 0).toFixed(3), text]);
    download(`${this.meta.name}_notes.csv`, csv([["frame", "seconds", "note"], ...lines]));
  }
}
