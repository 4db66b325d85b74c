// Where settings are stored and data parts come from: a kernel, or the saved page itself.

import type { Key, Meta, Settings } from "./types";

// A message from the kernel: a line of text, the progress of something, or that a part can be requested again; and
// whether the kernel has stopped answering.
export interface Told {
  said?: string;
  progress?: [what: string, done: number, total: number];
  ready?: string;
  silent?: boolean;
}

export interface Host {
  readonly meta: Meta;
  readonly live: boolean; // whether there is a kernel, which can write files
  settings(): Settings;
  set(change: Partial<Settings>, eager: boolean): void;
  observe(changed: () => void): void;
  ask(keys: Key[], later?: boolean): Promise<ArrayBuffer[]>; // `later`: other requests are answered first
  act(name: string): void;
  listen(told: (what: Told) => void): void;
}

const SLOW = new Set(["trace", "bounds"]); // parts that take long to compute: others do not wait for them
const SLOWLY = 2000; // milliseconds between two messages about the current frame during playback
const LISTS = new Set(["regions", "notes"]); // settings that are lists, edited item by item
const PATIENCE = 5000; // milliseconds without a message after which a kernel that owes an answer counts as silent
const ECHOES = 3000; // milliseconds in which a busy kernel may still send back an outdated value

interface Model {
  get(name: string): unknown;
  set(name: string, value: unknown): void;
  save_changes(): void;
  send(content: unknown): void;
  on(event: string, callback: (...args: never[]) => void): void;
}

interface Entry {
  key: Key;
  later: boolean;
  resolve: (part: ArrayBuffer) => void;
  reject: (error: Error) => void;
}

export class KernelHost implements Host {
  readonly live = true;
  readonly meta: Meta;
  private asked = 0;
  private waiting = new Map<number, Entry[]>();
  private listeners: ((what: Told) => void)[] = [];
  private later: ReturnType<typeof setTimeout> | undefined;
  private queue: Entry[] = [];
  private latest = new Map<string, { value: string; older: string[]; at: number }>();
  private heardAt = 0;
  private isSilent = false;

  constructor(private model: Model) {
    this.meta = model.get("meta") as Meta;
    model.on("msg:custom", (content: Record<string, unknown>, buffers: DataView[]) => this.receive(content, buffers));
  }

  settings(): Settings {
    return Object.fromEntries(this.meta.settings.map((name) => [name, this.model.get(name)])) as unknown as Settings;
  }

  set(change: Partial<Settings>, eager: boolean): void {
    for (const [name, value] of Object.entries(change)) {
      if (LISTS.has(name)) this.remember(name, JSON.stringify(value));
      this.model.set(name, value);
    }
    if (eager) {
      clearTimeout(this.later);
      this.later = undefined;
      this.model.save_changes();
    } else {
      this.later ??= setTimeout(() => {
        this.later = undefined;
        this.model.save_changes();
      }, SLOWLY);
    }
  }

  observe(changed: () => void): void {
    for (const name of this.meta.settings)
      this.model.on(`change:${name}`, () => {
        if (!this.isEcho(name)) changed();
        else {
          this.model.set(name, JSON.parse(this.latest.get(name)?.value ?? "null"));
          this.model.save_changes();
        }
      });
  }

  private remember(name: string, value: string): void {
    const known = this.latest.get(name);
    const isFresh = known && performance.now() - known.at < ECHOES;
    this.latest.set(name, { value, older: isFresh ? [...known.older, known.value] : [], at: performance.now() });
  }

  // Whether the value that the kernel has just sent is ours from before the latest change.
  private isEcho(name: string): boolean {
    const known = this.latest.get(name);
    if (!known || performance.now() - known.at > ECHOES) return false;
    const value = JSON.stringify(this.model.get(name));
    return value !== known.value && known.older.includes(value);
  }

  // Parts that are requested together are requested in one message, and arrive one by one.
  ask(keys: Key[], later = false): Promise<ArrayBuffer[]> {
    if (!this.queue.length) queueMicrotask(() => this.flush());
    return Promise.all(
      keys.map((key) => new Promise<ArrayBuffer>((resolve, reject) => this.queue.push({ key, later: later || SLOW.has(key[0]), resolve, reject }))),
    );
  }

  // The action may take long, so a quick part is requested, too: without its answer, the kernel counts as silent.
  act(name: string): void {
    this.send({ act: name });
    void this.ask([["colours", this.meta.colormaps[0], 0]]);
  }

  listen(told: (what: Told) => void): void {
    this.listeners.push(told);
  }

  private flush(): void {
    const entries = this.queue.splice(0);
    for (const later of [false, true]) this.post(entries.filter((each) => each.later === later), later);
  }

  private post(entries: Entry[], later: boolean): void {
    if (!entries.length) return;
    const id = ++this.asked;
    this.waiting.set(id, entries);
    if (!later) this.expect(id);
    this.send({ ask: entries.map((entry) => entry.key), id, later });
  }

  // Sending throws if the kernel was shut down.
  private send(content: unknown): void {
    try {
      this.model.send(content);
    } catch {
      this.setSilent(true);
    }
  }

  // Report a silent kernel (busy, or gone) if this request is not answered and no other message arrives.
  private expect(id: number): void {
    setTimeout(() => {
      if (!this.waiting.has(id)) return;
      if (performance.now() - this.heardAt < PATIENCE) this.expect(id);
      else this.setSilent(true);
    }, PATIENCE);
  }

  private setSilent(silent: boolean): void {
    this.isSilent = silent;
    this.tell({ silent });
  }

  private tell(what: Told): void {
    for (const told of this.listeners) told(what);
  }

  private receive(content: Record<string, unknown>, buffers: DataView[]): void {
    this.heardAt = performance.now();
    if (this.isSilent) this.setSilent(false);
    if (content.id === undefined) {
      this.tell(content as Told);
      return;
    }
    const { id, place, error } = content as { id: number; place: number; error: string };
    const entry = this.waiting.get(id)?.[place];
    if (!entry) return;
    const { buffer, byteOffset, byteLength } = buffers[0];
    if (error) entry.reject(new Error(error));
    else entry.resolve(buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer);
    if (place === (this.waiting.get(id)?.length ?? 0) - 1) this.waiting.delete(id); // answers arrive in order
  }
}

export interface Page {
  meta: Meta;
  settings: Settings;
  parts: Record<string, string>; // base64, by key
}

export class PageHost implements Host {
  readonly live = false;
  readonly meta: Meta;
  private now: Settings;

  constructor(private page: Page) {
    this.meta = page.meta;
    this.now = { ...page.settings };
  }

  settings(): Settings {
    return { ...this.now };
  }

  set(change: Partial<Settings>): void {
    Object.assign(this.now, change);
  }

  observe(): void {}

  async ask(keys: Key[]): Promise<ArrayBuffer[]> {
    return keys.map((key) => {
      const text = this.page.parts[key.join("|")];
      if (text === undefined) throw new Error("not on this page");
      return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0)).buffer;
    });
  }

  act(): void {}

  listen(): void {}
}
