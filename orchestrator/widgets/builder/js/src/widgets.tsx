// The fields of a node. What is typed is written when the field is left or Enter is pressed: that is one step of undo.
import { memo, useEffect, useRef, useState } from "react";
import { asLarge, isLarge, shown } from "./json";
import { KEYS, useSession, useUi } from "./use";
import type { WidgetView } from "./view";

const NUMBER = /^-?\d+$/;
const NOT_CANVAS = "nodrag nopan";

const round = (value: number, step: number) => Number(value.toFixed(Math.max(0, Math.min(10, Math.ceil(-Math.log10(step || 1))))));

const parsed = (text: string, widget: WidgetView): unknown => {
  const trimmed = text.trim().replace(",", ".");
  const { min, max } = widget.entry.config ?? {};
  if (widget.entry.kind === "INT") {
    if (!NUMBER.test(trimmed)) {
      const number = Math.round(Number(trimmed));
      return trimmed === "" || !Number.isFinite(number) ? undefined : clamp(number, min, max);
    }
    const large = asLarge(trimmed.replace(/^(-?)0+(?=\d)/, "$1"));
    return typeof large === "number" ? clamp(large, min, max) : large;
  }
  const number = Number(trimmed);
  return trimmed === "" || !Number.isFinite(number) ? undefined : clamp(number, min, max);
};
const clamp = (value: number, min: unknown, max: unknown) => Math.min(typeof max === "number" ? max : Infinity, Math.max(typeof min === "number" ? min : -Infinity, value));

const useText = (value: unknown, write: (text: string) => void) => {
  const [text, setText] = useState<string | null>(null);
  const latest = useRef({ text, write });
  latest.current = { text, write };
  const commit = () => {
    const { text: now, write: to } = latest.current;
    latest.current.text = null; // once: the field may be left, or go, before it is drawn anew
    if (now !== null && now !== shown(value)) to(now);
    setText(null);
  };
  // a node that is scrolled out of sight takes its fields with it
  useEffect(
    () => () => {
      const { text: now, write: to } = latest.current;
      if (now !== null) to(now);
    },
    [],
  );
  return { text: text ?? shown(value), setText, commit, cancel: () => setText(null), dirty: text !== null };
};

const NumberField = ({ widget, name, write }: { widget: WidgetView; name: string; write(value: unknown): void }) => {
  const field = useText(widget.value, (text) => {
    const value = parsed(text, widget);
    if (value !== undefined && value !== widget.value) write(value);
  });
  const step = Number(widget.entry.config?.step) || (widget.entry.kind === "INT" ? 1 : 0.1);
  const nudge = (by: number) => {
    if (isLarge(widget.value) || isLarge(parsed(field.text, widget) ?? 0)) return;
    const now = Number(parsed(field.text, widget) ?? 0);
    field.setText(String(round(clamp(now + by * step, widget.entry.config?.min, widget.entry.config?.max), step)));
  };
  return (
    <span className="bd-number">
      <button {...KEYS} type="button" tabIndex={-1} aria-hidden="true" className={NOT_CANVAS} onClick={() => (nudge(-1), setTimeout(field.commit))}>
        ‹
      </button>
      <input
        {...KEYS}
        className={NOT_CANVAS}
        inputMode="decimal"
        aria-label={name}
        role="spinbutton"
        aria-valuenow={typeof widget.value === "number" ? widget.value : undefined}
        value={field.text}
        spellCheck={false}
        onChange={(event) => field.setText(event.target.value)}
        onBlur={field.commit}
        onFocus={(event) => event.target.select()}
        onKeyDown={(event) => {
          if (event.key === "ArrowUp" || event.key === "ArrowDown") {
            event.preventDefault();
            nudge((event.key === "ArrowUp" ? 1 : -1) * (event.shiftKey ? 10 : 1));
          } else if (event.key === "Enter") field.commit();
          else if (event.key === "Escape") field.cancel();
        }}
      />
      <button {...KEYS} type="button" tabIndex={-1} aria-hidden="true" className={NOT_CANVAS} onClick={() => (nudge(1), setTimeout(field.commit))}>
        ›
      </button>
    </span>
  );
};

const TextField = ({ widget, name, write, long }: { widget: WidgetView; name: string; write(value: unknown): void; long: boolean }) => {
  const field = useText(widget.value, write);
  const common = {
    ...KEYS,
    "aria-label": name,
    value: field.text,
    spellCheck: false,
    onChange: (event: React.ChangeEvent<HTMLInputElement | HTMLTextAreaElement>) => field.setText(event.target.value),
    onBlur: field.commit,
  };
  if (long) return <textarea {...common} className={`${NOT_CANVAS} nowheel`} placeholder={widget.label} onKeyDown={(event) => event.key === "Escape" && !field.dirty && event.currentTarget.blur()} />;
  return (
    <input
      {...common}
      className={NOT_CANVAS}
      onKeyDown={(event) => {
        if (event.key === "Enter") field.commit();
        if (event.key === "Escape") field.cancel();
      }}
    />
  );
};

const ComboField = ({ widget, name, write }: { widget: WidgetView; name: string; write(value: unknown): void }) => {
  const ui = useUi();
  const choices = widget.entry.choices ?? (widget.entry.branches ? Object.keys(widget.entry.branches) : []);
  const known = choices.some((each) => each === widget.value);
  return (
    <button
      {...KEYS}
      type="button"
      className={`${NOT_CANVAS} bd-combo`}
      aria-haspopup="dialog"
      aria-label={`${name}: ${shown(widget.value)}`}
      data-missing={known || !choices.length ? undefined : "true"}
      onClick={() =>
        ui.ask({
          title: widget.label,
          items: choices.map((each, at) => ({ key: String(at), label: shown(each), hint: each === widget.value ? "now" : "" })),
          pick: (key) => choices[Number(key)] !== widget.value && write(choices[Number(key)]),
          free: choices.length ? undefined : (text) => write(text),
        })
      }
    >
      <span>{shown(widget.value)}</span>
    </button>
  );
};

const Fields = ({ widget, owner }: { widget: WidgetView; owner: string }) => {
  const session = useSession();
  const name = `${widget.label} of ${owner}`;
  const write = (value: unknown) => session.setWidget(widget.node, widget.which, widget.inside, value);
  const { kind, config } = widget.entry;
  if (widget.handle?.linked) return <span className="bd-linked">linked</span>;
  if (kind === "INT" || kind === "FLOAT") return <NumberField widget={widget} name={name} write={write} />;
  if (kind === "BOOLEAN")
    return (
      <button {...KEYS} type="button" role="switch" aria-checked={widget.value === true} aria-label={name} className={`${NOT_CANVAS} bd-switch`} onClick={() => write(widget.value !== true)}>
        <i /> {widget.value === true ? (config?.label_on ?? "on") : (config?.label_off ?? "off")}
      </button>
    );
  if (kind === "COMBO" || widget.entry.choices || widget.entry.branches) return <ComboField widget={widget} name={name} write={write} />;
  if (typeof widget.value === "string" || widget.value === undefined || widget.value === null) return <TextField widget={widget} name={name} write={write} long={Boolean(config?.multiline) || kind === "MARKDOWN" || kind === "TEXTAREA"} />;
  return <span className="bd-linked">{shown(widget.value).slice(0, 40)}</span>;
};

export const Field = memo(Fields, (a, b) => a.owner === b.owner && a.widget === b.widget);
