# What R's pROC says of its own aSAH data, as JSON: the oracle of test_proc.py.
# proc.json is its output: Rscript tests/statistics/proc.R > tests/statistics/proc.json
suppressMessages(library(pROC))
data(aSAH)

markers <- c("ndka", "s100b", "wfns")
columns <- data.frame(
  poor = as.integer(aSAH$outcome == "Poor"),
  female = as.integer(aSAH$gender == "Female"),
  ndka = aSAH$ndka,
  s100b = aSAH$s100b,
  wfns = as.integer(aSAH$wfns)
)
curve <- function(marker) roc(columns$poor, columns[[marker]], levels = c(0, 1), direction = "<")

json <- function(value, depth = 0) {
  if (is.list(value)) {
    inner <- vapply(value, json, "", depth = depth + 1)
    if (!is.null(names(value))) inner <- sprintf('"%s": %s', names(value), inner)
    ends <- if (is.null(names(value))) c("[", "]") else c("{", "}")
    gap <- if (depth < 2) paste0("\n", strrep("  ", depth + 1)) else ""
    end <- if (depth < 2) paste0("\n", strrep("  ", depth)) else ""
    return(paste0(ends[1], gap, paste(inner, collapse = paste0(",", if (depth < 2) gap else " ")), end, ends[2]))
  }
  text <- if (is.character(value)) sprintf('"%s"', value) else sprintf("%.15g", value)
  if (length(value) == 1) text else paste0("[", paste(text, collapse = ", "), "]")
}

single <- lapply(markers, function(marker) {
  found <- curve(marker)
  interval <- as.numeric(ci.auc(found, method = "delong"))
  list(
    marker = marker, auc = as.numeric(auc(found)), variance = var(found, method = "delong"),
    low = interval[1], high = interval[3]
  )
})

paired <- apply(combn(markers, 2), 2, function(two) {
  test <- roc.test(curve(two[1]), curve(two[2]), method = "delong", paired = TRUE)
  list(first = two[1], second = two[2], z = as.numeric(test$statistic), p = test$p.value)
})

sizes <- expand.grid(auc = c(0.55, 0.7, 0.9), ncases = c(15, 40), ncontrols = c(40, 200), sig.level = c(0.05, 0.01))
power <- lapply(seq_len(nrow(sizes)), function(row) {
  asked <- as.list(sizes[row, ])
  c(asked, power = do.call(power.roc.test, asked)$power)
})
detectable <- lapply(c(0.8, 0.95), function(wanted) {
  list(ncases = 30, ncontrols = 60, power = wanted, auc = power.roc.test(ncases = 30, ncontrols = 60, power = wanted)$auc)
})

cat(json(list(
  made_by = list(
    command = "Rscript tests/statistics/proc.R > tests/statistics/proc.json",
    R = paste(R.version$major, R.version$minor, sep = "."),
    pROC = as.character(packageVersion("pROC")),
    data = "aSAH of pROC, numeric columns"
  ),
  columns = as.list(columns), single = single, paired = paired,
  power = power, detectable = detectable
)), "\n", sep = "")
