// The workflows of the lab, and templates to begin with.
import { useEffect, useMemo, useState } from "react";
import { linksOf, nodesOf, positionOf, sizeOf } from "./graph";
import { parse, type Raw } from "./json";
import { KEYS, useSession, useState_ } from "./use";
import { typeColor } from "./view";

interface File_ {
  name: string;
  size: number;
  changed: string;
}

// A small picture of a workflow, of its boxes and links.
const Sketch = ({ text }: { text: string }) => {
  const doc = useMemo(() => parse(text), [text]);
  const nodes: Raw[] = nodesOf(doc);
  const boxes = nodes.map((node) => {
    const [x, y] = positionOf(node);
    const [w, h] = sizeOf(node);
    return { id: String(node.id), x, y: y - 30, w, h: h + 30, color: typeColor(node.outputs?.[0]?.type ?? "*") };
  });
  const left = Math.min(...boxes.map((box) => box.x));
  const top = Math.min(...boxes.map((box) => box.y));
  const right = Math.max(...boxes.map((box) => box.x + box.w));
  const bottom = Math.max(...boxes.map((box) => box.y + box.h));
  return (
    <svg viewBox={`${left - 20} ${top - 20} ${right - left + 40} ${bottom - top + 40}`} aria-hidden="true">
      {linksOf(doc).map((link, at) => {
        const from = boxes.find((box) => box.id === link.from);
        const to = boxes.find((box) => box.id === link.to);
        if (!from || !to) return null;
        const [x1, y1, x2, y2] = [from.x + from.w, from.y + 45 + 20 * link.fromSlot, to.x, to.y + 45 + 20 * link.toSlot];
        return <path key={at} d={`M${x1} ${y1}C${x1 + 60} ${y1} ${x2 - 60} ${y2} ${x2} ${y2}`} stroke={typeColor(link.type)} strokeWidth="8" fill="none" />;
      })}
      {boxes.map((box) => (
        <g key={box.id}>
          <rect x={box.x} y={box.y} width={box.w} height={box.h} rx="12" className="bd-sketch" />
          <rect x={box.x} y={box.y} width={box.w} height="34" rx="12" fill={box.color} />
        </g>
      ))}
    </svg>
  );
};

export const Files = ({ close, guard, ask }: { close(): void; guard(act: () => void): void; ask(title: string, value: string, action: string, done: (text: string) => void): void }) => {
  const session = useSession();
  const current = useState_((state) => state.name);
  const [said, setSaid] = useState<{ files: File_[]; samples: { name: string; text: string }[] } | null>(null);
  const [doomed, setDoomed] = useState("");
  const load = (action: string, message = {}) => session.ask(action, message).then(setSaid, session.fail);
  useEffect(() => {
    void load("files");
  }, []);
  const open = (action: string, message: Raw) => guard(() => void session.ask(action, message).then(close, session.fail));
  const pick = (files: FileList | null) => {
    const file = files?.[0];
    if (file) guard(() => void file.arrayBuffer().then((data) => session.ask("import", { name: file.name }, [data])).then(close, session.fail));
  };
  return (
    <div className="bd-veil" onPointerDown={(event) => event.target === event.currentTarget && close()}>
      <div className="bd-chooser bd-files" role="dialog" aria-modal="true" aria-label="Workflows" onKeyDown={(event) => event.key === "Escape" && close()}>
        <header>
          <h3>Workflows</h3>
          <div className="bd-row">
            <button {...KEYS} autoFocus className="lab-button" type="button" onClick={() => open("new", {})}>
              New
            </button>
            <label className="lab-button">
              Import a file
              <input {...KEYS} type="file" accept=".json,.png,.webp,.jpg,.jpeg,.mp4" className="lab-hidden" onChange={(event) => pick(event.target.files)} />
            </label>
            <button {...KEYS} className="lab-button" type="button" onClick={close}>
              Close
            </button>
          </div>
        </header>
        <h4>Templates</h4>
        <ul className="bd-samples">
          {said?.samples.map((each) => (
            <li key={each.name}>
              <button {...KEYS} type="button" onClick={() => open("sample", { name: each.name })}>
                <Sketch text={each.text} />
                <span>{each.name}</span>
              </button>
            </li>
          ))}
        </ul>
        <h4>Saved</h4>
        {said && !said.files.length ? <p className="bd-muted">Nothing is saved yet. What you save here is a backend of the dashboard's form at once.</p> : null}
        <ul className="bd-list">
          {said?.files.map((file) => (
            <li key={file.name} aria-current={file.name === current || undefined}>
              <button {...KEYS} type="button" className="bd-open" onClick={() => open("open", { name: file.name })}>
                <span>{file.name}</span>
                <small>
                  {new Date(file.changed).toLocaleString()} · {Math.max(1, Math.round(file.size / 1024))} kB
                </small>
              </button>
              <button {...KEYS} type="button" className="bd-text-button" aria-label={`Rename ${file.name}`} onClick={() => ask(`Rename ${file.name}`, file.name, "Rename", (name) => void load("rename", { name: file.name, new: name }))}>
                Rename
              </button>
              <button {...KEYS} type="button" className="bd-text-button" aria-label={`Duplicate ${file.name}`} onClick={() => void load("duplicate", { name: file.name })}>
                Duplicate
              </button>
              <button
                {...KEYS}
                type="button"
                className="bd-text-button bd-danger"
                aria-label={`Delete ${file.name}`}
                onBlur={() => setDoomed("")}
                onClick={() => {
                  if (doomed !== file.name) return setDoomed(file.name);
                  setDoomed("");
                  void load("trash", { name: file.name });
                }}
              >
                {doomed === file.name ? "To the trash?" : "Delete"}
              </button>
            </li>
          ))}
        </ul>
      </div>
    </div>
  );
};
