import { createContext, useContext, useRef, useSyncExternalStore } from "react";
import type { Session, State } from "./session";

export const SessionContext = createContext<Session>(null as unknown as Session);
export const useSession = () => useContext(SessionContext);

// A part of the state; drawn anew only when that part is another one.
export const useState_ = <T>(pick: (state: State) => T): T => {
  const session = useSession();
  const kept = useRef<{ state: State; value: T } | null>(null);
  return useSyncExternalStore(session.subscribe, () => {
    const state = session.getState();
    if (kept.current?.state !== state) kept.current = { state, value: pick(state) };
    return kept.current.value;
  });
};

export const useMark = (id: string): string => {
  const session = useSession();
  return useSyncExternalStore(session.subscribe, () => session.markOf(id));
};

export const KEYS = { "data-lm-suppress-shortcuts": "true" } as const;

export interface Ui {
  ask(chooser: Choice): void;
  rename(id: string): void;
}
export interface Item {
  key: string;
  label: string;
  hint?: string;
  find?: string;
}
export interface Choice {
  title: string;
  items: Item[];
  pick(key: string): void;
  placeholder?: string;
  free?: (text: string) => void; // what to do with a text that is no item
}
export const UiContext = createContext<Ui>(null as unknown as Ui);
export const useUi = () => useContext(UiContext);
