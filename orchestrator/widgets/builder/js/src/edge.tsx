// A link that is led through points.
import { BaseEdge, type EdgeProps, getBezierPath, Position } from "@xyflow/react";
import { memo } from "react";
import type { Spot } from "./reroutes";

const Through = ({ id, sourceX, sourceY, targetX, targetY, style, interactionWidth, data }: EdgeProps) => {
  const points = data!.points as Spot[];
  const stops: Spot[] = [[sourceX, sourceY], ...points, [targetX, targetY]];
  const parts = stops.slice(1).map(([x, y], index) => getBezierPath({ sourceX: stops[index][0], sourceY: stops[index][1], sourcePosition: Position.Right, targetX: x, targetY: y, targetPosition: Position.Left })[0]);
  return (
    <>
      <BaseEdge id={id} path={parts.join(" ")} style={style} interactionWidth={interactionWidth} />
      {points.map(([x, y], index) => (
        <circle key={index} className="bd-point" cx={x} cy={y} r={5} style={{ fill: style?.stroke, opacity: style?.opacity }} />
      ))}
    </>
  );
};
export const LabEdge = memo(Through);
