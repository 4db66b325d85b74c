// Synchronises viewers of a page: when one of a group is sought, played, paused or changes speed, the others follow.

export interface Moment {
  time: number; // seconds
  playing: boolean;
  speed: number;
}

export interface Member {
  group(): string;
  follow(moment: Moment): void;
}

// Each viewer may load its own copy of this script, so the members are stored in the page's global object.
const members = ((globalThis as { tinyhdViewers?: Set<Member> }).tinyhdViewers ??= new Set<Member>());

export function join(member: Member): () => void {
  members.add(member);
  return () => members.delete(member);
}

export function tell(from: Member, moment: Moment): void {
  const group = from.group();
  if (!group) return;
  for (const each of members) if (each !== from && each.group() === group) each.follow(moment);
}
