// One dialog for everything that is chosen from a list: nodes, sockets, values, files. All of it works by keyboard.
import { useEffect, useId, useMemo, useRef, useState } from "react";
import { type Choice, KEYS } from "./use";

const MOST = 200;

export const matching = <T extends { label: string; hint?: string; find?: string }>(items: T[], text: string): T[] => {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  if (!words.length) return items;
  const scored = items.flatMap((item, order) => {
    const label = item.label.toLowerCase();
    const all = `${label} ${item.find ?? ""} ${item.hint ?? ""}`.toLowerCase();
    if (!words.every((word) => all.includes(word))) return [];
    const whole = words.join(" ");
    const score = label === whole ? 0 : label.startsWith(whole) ? 1 : words.every((word) => label.includes(word)) ? 2 : 3;
    return [{ item, score, order, length: label.length }];
  });
  return scored.sort((a, b) => a.score - b.score || (a.score < 3 ? a.length - b.length : 0) || a.order - b.order).map((each) => each.item);
};

export const Chooser = ({ choice, close }: { choice: Choice; close(): void }) => {
  const [text, setText] = useState("");
  const [at, setAt] = useState(0);
  const list = useRef<HTMLUListElement>(null);
  const id = useId();
  const found = useMemo(() => matching(choice.items, text), [choice, text]);
  const shown = found.slice(0, MOST);
  const current = Math.min(at, shown.length - 1);
  useEffect(() => {
    list.current?.children[current]?.scrollIntoView({ block: "nearest" });
  }, [current, shown.length]);
  const pick = (key: string) => {
    close();
    choice.pick(key);
  };
  const onKey = (event: React.KeyboardEvent) => {
    const steps: Record<string, number> = { ArrowDown: 1, ArrowUp: -1, PageDown: 8, PageUp: -8 };
    if (event.key in steps) {
      event.preventDefault();
      setAt(Math.max(0, Math.min(shown.length - 1, current + steps[event.key])));
    } else if (event.key === "Enter") {
      event.preventDefault();
      if (shown[current]) pick(shown[current].key);
      else if (choice.free && text.trim()) {
        close();
        choice.free(text.trim());
      }
    } else if (event.key === "Escape") {
      event.preventDefault();
      close();
    } else if (event.key === "Tab") event.preventDefault();
  };
  return (
    <div className="bd-veil" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <div className="bd-chooser" role="dialog" aria-modal="true" aria-label={choice.title}>
        <h3>{choice.title}</h3>
        <input
          {...KEYS}
          autoFocus
          role="combobox"
          aria-expanded="true"
          aria-controls={id}
          aria-activedescendant={shown[current] ? `${id}-${current}` : undefined}
          aria-label={choice.title}
          placeholder={choice.placeholder ?? "Type to search"}
          value={text}
          onChange={(event) => {
            setText(event.target.value);
            setAt(0);
          }}
          onKeyDown={onKey}
        />
        <ul role="listbox" id={id} ref={list} aria-label={choice.title}>
          {shown.map((item, index) => (
            <li key={item.key} id={`${id}-${index}`} role="option" aria-selected={index === current} onPointerDown={(event) => event.preventDefault()} onClick={() => pick(item.key)} onPointerMove={() => setAt(index)}>
              <span>{item.label}</span>
              {item.hint ? <small>{item.hint}</small> : null}
            </li>
          ))}
        </ul>
        <p className="bd-muted" role="status">
          {found.length > MOST ? `${MOST} of ${found.length} shown: type more` : found.length ? `${found.length} found` : choice.free && text.trim() ? `Enter takes “${text.trim()}”` : "Nothing found"}
        </p>
      </div>
    </div>
  );
};

export interface Asked {
  title: string;
  value: string;
  action: string;
  done(value: string): void;
  multiline?: boolean;
}

export const Prompt = ({ asked, close }: { asked: Asked; close(): void }) => {
  const [text, setText] = useState(asked.value);
  return (
    <div className="bd-veil" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <form
        className="bd-chooser bd-prompt"
        role="dialog"
        aria-modal="true"
        aria-label={asked.title}
        onSubmit={(event) => {
          event.preventDefault();
          close();
          asked.done(text);
        }}
        onKeyDown={(event) => {
          if (event.key === "Escape") close();
        }}
      >
        <h3>{asked.title}</h3>
        <input {...KEYS} autoFocus aria-label={asked.title} value={text} maxLength={200} onFocus={(event) => event.target.select()} onChange={(event) => setText(event.target.value)} />
        <div className="bd-row">
          <button {...KEYS} className="lab-button" type="button" onClick={close}>
            Cancel
          </button>
          <button {...KEYS} className="lab-button bd-main" type="submit">
            {asked.action}
          </button>
        </div>
      </form>
    </div>
  );
};
