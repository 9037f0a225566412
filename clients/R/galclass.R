# An R client of the galclass service: predict, batch, versions, and functions published as services.
#
# Needs httr and jsonlite (Debian: r-cran-httr, r-cran-jsonlite). Use it with source("galclass.R").
# Object ids are character everywhere: an 18-digit id does not fit a double.

#' Connect to a server.
#'
#' @param url URL of the server, such as "http://127.0.0.1:8000".
#' @param token Bearer token; needed to publish, and to read if reading is not open.
#' @param timeout_s Longest wait for a response.
galclass_connect <- function(url, token = NULL, timeout_s = 60) {
  structure(list(url = sub("/+$", "", url), token = token, timeout_s = timeout_s), class = "galclass_connection")
}

#' List every version of every service, or of one, as a data frame.
list_services <- function(connection, name = NULL) {
  found <- .request(connection, "GET", "/v1/services", query = list(name = name))$services
  .bind(lapply(found, function(one) data.frame(
    name = one$name, version = one$version, aliases = paste(unlist(one$aliases), collapse = " "),
    model = if (is.null(one$model)) NA_character_ else sprintf("%s@%s", one$model$name, one$model$version),
    description = one$description, created_at = one$created_at, created_by = one$created_by, stringsAsFactors = FALSE
  )))
}

#' Look up a version of a service, or the one that an alias points to now.
get_service <- function(connection, name, version = "latest") {
  record <- .request(connection, "GET", .path("services", name, version))
  structure(list(connection = connection, record = record, path = .path("services", record$name, record$version)),
            class = "galclass_service")
}

#' Publish a registered model as a new version; `latest` moves to it, earlier versions are kept.
publish_service <- function(connection, name, model, version, description = "") {
  body <- list(name = name, model = model, version = version, description = description)
  .request(connection, "POST", "/v1/services", body = body)
  get_service(connection, name, version)
}

#' Point an alias to another version.
move_alias <- function(connection, name, alias, version) {
  .request(connection, "PUT", .path("services", name, "aliases", alias), body = list(version = version))
  get_service(connection, name, alias)
}

#' Point an alias to its previous version.
rollback_service <- function(connection, name, alias = "latest") {
  .request(connection, "POST", .path("services", name, "rollback"), query = list(alias = alias))
  get_service(connection, name, alias)
}

#' Delete a version that no alias points to, or the last one of a service.
delete_service <- function(connection, name, version) {
  invisible(.request(connection, "DELETE", .path("services", name, version)))
}

#' Read the OpenAPI document of a service.
swagger <- function(service) .request(service$connection, "GET", paste0(service$path, "/openapi.json"))

#' Read inputs, outputs, classes and limits of a service.
capabilities <- function(service) .request(service$connection, "GET", paste0(service$path, "/capabilities"))

#' Classify images; a data frame with one row for each, in their order.
#'
#' @param images Paths, or a list of raw vectors.
#' @param object_ids Ids of the rows; by default file names without suffix, or "image-N".
#' @param frame_px Side of the survey's frame in px, if the files contain only its centre.
#' @param at_once Images sent in one request.
predict_images <- function(service, images, object_ids = NULL, frame_px = NULL, at_once = 32) {
  items <- .items(images, object_ids)
  parts <- split(items, (seq_along(items) - 1) %/% at_once)
  .bind(lapply(unname(parts), function(part) {
    answer <- .request(service$connection, "POST", paste0(service$path, "/predict"),
                       body = list(images = unname(part)), query = list(frame_px = frame_px))
    predictions_frame(answer$predictions)
  }))
}

#' Classify images as a batch job on the server and wait for its end.
#'
#' @param poll_s Seconds between two polls of the job.
batch_images <- function(service, images, object_ids = NULL, at_once = 200, poll_s = 0.5) {
  items <- .items(images, object_ids)
  parts <- unname(split(items, (seq_along(items) - 1) %/% at_once))
  job <- .request(service$connection, "POST", paste0(service$path, "/batches"),
                  body = list(images = unname(parts[[1]])), query = list(start = "false"))
  for (part in parts[-1])
    .request(service$connection, "POST", .path("jobs", job$id, "images"), body = list(images = unname(part)))
  .request(service$connection, "POST", .path("jobs", job$id, "start"))
  predictions_frame(.job_results(service$connection, job$id, poll_s))
}

#' Call a service over code with its inputs; a single result, or a list of named outputs.
#'
#' @param ... The inputs by name; raw vectors are sent in base64.
call_service <- function(service, ...) {
  .request(service$connection, "POST", paste0(service$path, "/call"), body = .encoded(list(...)))
}

#' Call a service over code for many inputs as a batch job; a list of results in their order.
#'
#' @param inputs A list of lists of named inputs, or a data frame with one row for each call.
batch_calls <- function(service, inputs, poll_s = 0.5) {
  if (is.data.frame(inputs)) inputs <- lapply(seq_len(nrow(inputs)), function(row) as.list(inputs[row, , drop = FALSE]))
  job <- .request(service$connection, "POST", paste0(service$path, "/batches"),
                  body = list(inputs = unname(lapply(inputs, .encoded))))
  .job_results(service$connection, job$id, poll_s)
}

#' Turn prediction records into a data frame with the columns of `galclass predict`.
predictions_frame <- function(records) .bind(lapply(records, function(one) {
  error <- if (is.null(one$error)) NA_character_ else one$error$code
  row <- list(object_id = one$object_id, predicted_class = .or_na(one$predicted_class),
              predicted_group = .or_na(one$predicted_group))
  row[paste0("predicted_", .classes)] <- lapply(.classes, function(leaf) {
    value <- one$probabilities[[leaf]]
    if (is.null(value)) NA_real_ else as.numeric(value)
  })
  row$prediction_set <- paste(unlist(one$prediction_set), collapse = "|")
  row$flags <- paste(unlist(one$flags), collapse = "|")
  row$error <- error
  row$model_name <- one$model$name
  row$model_version <- as.integer(one$model$version)
  row$model_sha256 <- one$model$sha256
  as.data.frame(row, stringsAsFactors = FALSE)
}))

.classes <- c("Er", "Ei", "Ec", "Se", "Sd", "Sc", "Sb", "Sa", "SBd", "SBc", "SBb", "SBa", "A")

.or_na <- function(value) if (is.null(value)) NA_character_ else value

.bind <- function(frames) if (length(frames)) do.call(rbind, frames) else data.frame()

.path <- function(...) paste0("/v1/", paste(vapply(c(...), utils::URLencode, "", reserved = TRUE), collapse = "/"))

.encoded <- function(inputs) lapply(inputs, function(one) if (is.raw(one)) jsonlite::base64_enc(one) else one)

.items <- function(images, object_ids) {
  if (!length(images)) stop("no images were given", call. = FALSE)
  if (is.raw(images)) images <- list(images)
  if (is.null(object_ids))
    object_ids <- vapply(seq_along(images), function(place) {
      if (is.character(images[[place]])) tools::file_path_sans_ext(basename(images[[place]]))
      else paste0("image-", place)
    }, "")
  if (length(object_ids) != length(images)) stop("as many object_ids as images are needed", call. = FALSE)
  if (is.numeric(object_ids)) stop("object ids are character: a double does not hold 18 digits", call. = FALSE)
  mapply(function(image, id) {
    if (is.character(image)) image <- readBin(image, "raw", file.size(image))
    list(id = as.character(id), img = jsonlite::base64_enc(image))
  }, images, object_ids, SIMPLIFY = FALSE, USE.NAMES = FALSE)
}

.job_results <- function(connection, id, poll_s) {
  records <- list()
  after <- -1
  repeat {
    page <- .request(connection, "GET", .path("jobs", id, "results"), query = list(after = after))
    records <- c(records, page$predictions)
    if (is.null(page[["next"]])) break
    if (!length(page$predictions)) Sys.sleep(poll_s)
    after <- page[["next"]]
  }
  if (page$done < page$total) stop(sprintf("the batch is %s: %s of %s done", page$state, page$done, page$total), call. = FALSE)
  records
}

# Seconds to wait by a Retry-After header: at most a minute, and 1 if a proxy sent a date or nothing.
.pause <- function(header) {
  seconds <- if (is.null(header)) NA else suppressWarnings(as.numeric(header))
  if (is.na(seconds)) 1 else min(max(seconds, 0), 60)
}

.request <- function(connection, method, path, body = NULL, query = list(), tries = 4) {
  text <- if (is.null(body)) NULL else jsonlite::toJSON(body, auto_unbox = TRUE, null = "null", na = "null", digits = NA)
  headers <- if (is.null(connection$token)) NULL else httr::add_headers(Authorization = paste("Bearer", connection$token))
  for (attempt in seq_len(tries)) {
    response <- httr::VERB(method, paste0(connection$url, path), headers, httr::content_type_json(), httr::accept_json(),
                           httr::timeout(connection$timeout_s), body = text,
                           query = query[!vapply(query, is.null, NA)])
    status <- httr::status_code(response)
    if (!status %in% c(429, 503) || attempt == tries) break
    Sys.sleep(.pause(httr::headers(response)[["retry-after"]]))
  }
  answer <- jsonlite::fromJSON(httr::content(response, "text", encoding = "UTF-8"), simplifyVector = FALSE)
  if (status >= 400) {
    error <- structure(class = c("galclass_error", "error", "condition"), list(
      message = answer$error$message, call = NULL, status = status, code = answer$error$code, field = answer$error$field))
    stop(error)
  }
  answer
}
