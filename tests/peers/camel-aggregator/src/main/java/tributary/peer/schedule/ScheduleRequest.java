package tributary.peer.schedule;

import jakarta.xml.bind.annotation.XmlElement;
import jakarta.xml.bind.annotation.XmlType;

/** A question for the booked times of a patient. */
@XmlType(name = "GetSubjectOfCareScheduleType", propOrder = {"facility", "patient"})
public class ScheduleRequest {
    @XmlElement(name = "healthcare_facility", required = true)
    public String facility;

    @XmlElement(name = "subject_of_care", required = true)
    public String patient;
}
