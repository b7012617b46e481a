// The panels beside the canvas: the palette on the left, the test run and what is wrong on the right.
import { useDeferredValue, useMemo, useState } from "react";
import { addNode, palette, type PaletteItem } from "./actions";
import { matching } from "./chooser";
import { levelAt, nodesOf } from "./graph";
import { typeColor } from "./view";
import { KEYS, useSession, useState_ } from "./use";

const MIME = "application/x-lab-node";
const MOST = 120;

export const Palette = ({ middle }: { middle(): [number, number] }) => {
  const session = useSession();
  const plans = useState_((state) => state.plans);
  const planned = useState_((state) => state.planned);
  const live = useState_((state) => state.live);
  const definitions = useState_((state) => state.doc.definitions);
  const [text, setText] = useState("");
  const [open, setOpen] = useState<string | null>(null);
  const wanted = useDeferredValue(text);
  const items = useMemo(() => palette(plans, session.state.doc), [plans, definitions, session]);
  const found = useMemo(() => (wanted.trim() ? matching(items, wanted) : null), [items, wanted]);
  const categories = useMemo(() => {
    const made = new Map<string, PaletteItem[]>();
    for (const item of items) {
      const top = item.category.split("/")[0];
      made.set(top, [...(made.get(top) ?? []), item]);
    }
    return [...made];
  }, [items]);
  const row = (item: PaletteItem) => (
    <li key={item.key}>
      <button
        {...KEYS}
        type="button"
        draggable
        title={item.key}
        onDragStart={(event) => {
          event.dataTransfer.setData(MIME, item.key);
          event.dataTransfer.effectAllowed = "copy";
        }}
        onClick={() => addNode(session, item.key, middle())}
      >
        <i style={{ background: typeColor(plans[item.key]?.outputs[0] ?? "*") }} />
        <span>{item.label}</span>
        <small>{item.hint}</small>
      </button>
    </li>
  );
  return (
    <aside className="bd-palette" aria-label="Nodes">
      <input
        {...KEYS}
        type="search"
        aria-label="Search nodes"
        placeholder="Search nodes"
        value={text}
        onChange={(event) => setText(event.target.value)}
        onKeyDown={(event) => {
          if (event.key === "Enter" && found?.[0]) addNode(session, found[0].key, middle());
        }}
      />
      {planned && !live ? <p className="bd-note">{items.length > 8 ? "No ComfyUI server answers: these are the nodes that one had last." : "No ComfyUI server answers, so that its nodes are not known. Start one, then press “Ask the server”."}</p> : null}
      {!planned ? <p className="bd-muted">Asking the server for its nodes…</p> : null}
      {found ? (
        <ul className="bd-items">
          {found.slice(0, MOST).map(row)}
          {found.length ? null : <li className="bd-muted">No node is called so.</li>}
          {found.length > MOST ? <li className="bd-muted">{found.length - MOST} more: type on</li> : null}
        </ul>
      ) : (
        <div className="bd-items">
          {categories.map(([name, list]) => (
            <section key={name}>
              <button {...KEYS} type="button" className="bd-fold" aria-expanded={open === name} onClick={() => setOpen(open === name ? null : name)}>
                {name} <small>{list.length}</small>
              </button>
              {open === name ? <ul>{list.map(row)}</ul> : null}
            </section>
          ))}
        </div>
      )}
    </aside>
  );
};

export const Findings = () => {
  const session = useSession();
  const findings = useState_((state) => state.findings);
  const doc = useState_((state) => state.doc);
  const titleOf = (path: string[]) => {
    if (!path.length) return "The workflow";
    const { graph, names } = levelAt(doc, path.slice(0, -1));
    const node = nodesOf(graph).find((each) => String(each.id) === path[path.length - 1]);
    const own = node ? node.title || session.state.plans[node.type]?.title || node.type : path[path.length - 1];
    return [...names, `${own} #${path[path.length - 1]}`].join(" › ");
  };
  const ordered = [...findings].sort((a, b) => Number(a.severity === "warning") - Number(b.severity === "warning"));
  if (!findings.length) return <p className="bd-muted">Nothing is wrong, as far as it can be told from here.</p>;
  return (
    <ul className="bd-findings">
      {ordered.map((each, at) => (
        <li key={at} data-severity={each.severity}>
          <button {...KEYS} type="button" onClick={() => session.show(each.path)}>
            <strong>{titleOf(each.path)}</strong>
            <span>{[each.input, each.message].filter(Boolean).join(": ")}</span>
            <small>{each.type}</small>
          </button>
        </li>
      ))}
    </ul>
  );
};

export const Test = ({ start, busy }: { start(prompt: string, keep: boolean): void; busy: boolean }) => {
  const session = useSession();
  const run = useState_((state) => state.run);
  const place = useState_((state) => state.place);
  const picture = useState_((state) => state.picture);
  const preview = useState_((state) => state.preview);
  const selected = useState_((state) => state.selected);
  const path = useState_((state) => state.path);
  const doc = useState_((state) => state.doc);
  const plans = useState_((state) => state.plans);
  const [text, setText] = useState<string | null>(null);
  const [keep, setKeep] = useState(false);
  const running = Boolean(run.job) && !run.over;
  const percent = Math.round((run.fraction ?? 0) * 100);
  const pinned = doc.extra?.orchestrator?.prompt;
  const candidates = useMemo(() => {
    const id = [...selected][0];
    const view = selected.size === 1 ? session.nodeViews().find((each) => each.id === id) : undefined;
    return view && view.kind !== "note" && view.kind !== "host" ? view.widgets.filter((each) => each.entry.kind === "STRING" && !each.handle?.linked).map((each) => ({ input: each.name, title: view.title, id: view.id })) : [];
  }, [selected, doc, plans, session]);
  const pin = (value: { path: string[]; input: string } | null) =>
    session.edit((editor) => {
      const extra = editor.doc.extra;
      if (!extra || typeof extra !== "object") editor.set(["extra"], { orchestrator: {} });
      else if (!extra.orchestrator || typeof extra.orchestrator !== "object") editor.set(["extra", "orchestrator"], {});
      if (value) editor.set(["extra", "orchestrator", "prompt"], value);
      else if (editor.doc.extra.orchestrator.prompt) editor.remove(["extra", "orchestrator", "prompt"]);
    });
  return (
    <form
      className="bd-test"
      onSubmit={(event) => {
        event.preventDefault();
        start(text ?? "", keep);
      }}
    >
      <label>
        Sample prompt
        <textarea {...KEYS} rows={3} value={text ?? place.text ?? ""} placeholder={place.path ? "" : "The workflow has no prompt that was found"} onChange={(event) => setText(event.target.value)} />
      </label>
      {place.path ? (
        <p className="bd-muted">
          Goes into{" "}
          <button {...KEYS} type="button" className="bd-text-button" onClick={() => session.show(place.path!)}>
            {place.title || "a node"} · {place.input}
          </button>
          {pinned ? (
            <>
              , as you chose.{" "}
              <button {...KEYS} type="button" className="bd-text-button" onClick={() => pin(null)}>
                Find it again
              </button>
            </>
          ) : (
            "."
          )}
        </p>
      ) : (
        <p className="bd-muted">Select the node that takes the prompt, and choose its input here.</p>
      )}
      {candidates
        .filter((each) => !(place.input === each.input && place.path?.join() === [...path, each.id].join()))
        .slice(0, 4)
        .map((each) => (
          <p key={each.input}>
            <button {...KEYS} type="button" className="bd-text-button" onClick={() => pin({ path: [...path, each.id], input: each.input })}>
              Use {each.title} · {each.input} as the prompt
            </button>
          </p>
        ))}
      <label className="lab-check">
        <input {...KEYS} type="checkbox" checked={keep} onChange={(event) => setKeep(event.target.checked)} /> Keep the seed of the workflow
      </label>
      <div className="bd-row">
        <button {...KEYS} className="lab-button bd-main" type="submit" disabled={busy || running}>
          {running ? "Running…" : "Run a test"}
        </button>
        {running ? (
          <button {...KEYS} className="lab-button" type="button" onClick={() => void session.ask("stop").catch(session.fail)}>
            Cancel
          </button>
        ) : null}
      </div>
      {run.job ? (
        <section className="bd-result" aria-label="Test run" data-status={run.status}>
          <p role="status">
            <strong className="lab-status">{run.label}</strong> {run.step && run.steps ? `step ${run.step} of ${run.steps}` : run.text}
          </p>
          {running ? (
            <div className={percent ? "lab-bar" : "lab-bar lab-unknown"} role="progressbar" aria-label="Test run" aria-valuenow={percent} aria-valuemin={0} aria-valuemax={100}>
              <i style={percent ? { width: `${percent}%` } : undefined} />
            </div>
          ) : null}
          {run.failure ? (
            <div className="lab-failure" role="alert">
              <strong>{run.failure}</strong> {run.remedy}
              {run.fault?.length ? (
                <p>
                  <button {...KEYS} type="button" className="bd-text-button" onClick={() => session.show(run.fault!)}>
                    Show the node
                  </button>
                </p>
              ) : null}
            </div>
          ) : null}
          {picture ? <img src={picture} alt={`Result: ${run.prompt ?? ""}`} /> : running && preview ? <img src={preview} alt="Preview" className="bd-preview" /> : null}
          {(run.pictures ?? 0) > 1 ? <p className="bd-muted">The first of {run.pictures}; the Canvas has all of them.</p> : null}
        </section>
      ) : null}
    </form>
  );
};
