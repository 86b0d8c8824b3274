/** One query of a panel of the dashboard, as Grafana asks it. */
export interface PanelQuery {
  readonly row: string;
  readonly panel: string;
  readonly expr: string;
}

interface Board {
  readonly panels: readonly {
    readonly type: string;
    readonly title: string;
    readonly description?: string;
    readonly targets?: readonly { readonly expr: string }[];
  }[];
}

/** What Grafana puts in place of a variable. */
export interface Variables {
  readonly instance: string;
  readonly namespace: string;
  readonly rateInterval: string;
}

/** All queries of deploy/monitoring/grafana.json. */
export async function boardQueries(variables: Variables): Promise<readonly PanelQuery[]> {
  const { instance, namespace, rateInterval } = variables;
  const board = (await Bun.file(
    new URL("../../deploy/monitoring/grafana.json", import.meta.url),
  ).json()) as Board;
  let row = "";
  return board.panels.flatMap(({ type, title, targets = [] }) => {
    if (type === "row") row = title;
    return targets.map(({ expr }) => ({
      row,
      panel: title,
      expr: expr
        .replaceAll("$__rate_interval", rateInterval)
        .replaceAll("$instance", instance)
        .replaceAll("$namespace", namespace),
    }));
  });
}
